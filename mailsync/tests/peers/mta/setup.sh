#!/bin/bash
# setup.sh: install Postfix on Debian 12 (root, or sudo). It is not configured and not started.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
RUNLEVEL=1 "$here/../apt-install.sh" postfix
"$here/check.sh"
