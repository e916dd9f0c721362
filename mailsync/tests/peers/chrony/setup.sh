#!/bin/bash
# setup.sh: install chrony and libfaketime on Debian 12 (root, or sudo). The package's own service is kept from starting: the tests run
# chronyd themselves, on loopback, with -x, so that no clock is ever set.
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
"$here/../apt-install.sh" chrony faketime
"$here/check.sh"
