#!/bin/bash
# setup.sh: install libwbxml's command line tools on Debian 12 (root, or sudo).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/../apt-install.sh" libwbxml2-utils
"$here/check.sh"
