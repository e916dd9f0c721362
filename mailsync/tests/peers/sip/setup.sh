#!/bin/bash
# setup.sh: install SIPp and tshark on Debian 12 (root, or sudo). Starts nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/../apt-install.sh" sip-tester tshark
"$here/check.sh"
