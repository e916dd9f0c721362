#!/bin/bash
# setup.sh: install Kannel, node with the package smpp, and swaks on Debian 12 (root, or sudo). Starts nothing, enables no service.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
packages=(kannel swaks curl gcc libc6-dev)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
# RUNLEVEL: Debian's scripts would start bearerbox.
RUNLEVEL=1 "$here/../apt-install.sh" "${packages[@]}"
mkdir -p "$SMPP_NPM"
[ -f "$SMPP_NPM/package.json" ] || echo '{"name":"mailsync-peers","private":true}' >"$SMPP_NPM/package.json"
(cd "$SMPP_NPM" && npm install --silent --no-audit --no-fund smpp@0.5.1 >&2)
"$here/check.sh"
