#!/bin/bash
# apt-install.sh PACKAGE...: install Debian packages, as root or through sudo, saying so; quiet unless it fails.
# Package lists are fetched only when the install fails without. Other apt runs are waited for.
set -euo pipefail
command -v apt-get >/dev/null || { echo "apt-install.sh: this is not Debian; install by hand: $*" >&2; exit 1; }
sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "apt-install.sh: needs root or sudo to install: $*" >&2; exit 1; }
  sudo=(sudo)
fi
apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
echo "installing with apt-get: $*"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
logged() { "$@" >"$log" 2>&1 </dev/null; }
install=("${apt[@]}" install -y --no-install-recommends "$@")
# The lists on the machine may be missing or older than the mirror: only then fetch them, and try again.
logged "${install[@]}" || { logged "${apt[@]}" update && logged "${install[@]}"; } || {
  cat "$log" >&2
  exit 1
}
