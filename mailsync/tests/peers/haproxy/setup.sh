#!/bin/bash
# setup.sh: install HAProxy on Debian 12 (root, or sudo). The package's own service is kept from starting: the tests run it themselves.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
  "${sudo[@]}" chmod 755 $policy
  trap '"${sudo[@]}" rm -f $policy' EXIT
fi
"$here/../apt-install.sh" haproxy openssl
"$here/check.sh"
