#!/bin/bash
# setup.sh: install SyncEvolution 2.0 on Debian 12 (root, or sudo) and prove that it can be used.
# Packages only: starts nothing, enables no service. syncevolution-http is left out on purpose (front.py stands in for it).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/../apt-install.sh" syncevolution syncevolution-dbus dbus dbus-daemon python3 python3-dbus python3-gi gcc libc6-dev
"$here/check.sh"
