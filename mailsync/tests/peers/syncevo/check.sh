#!/bin/bash
# check.sh: exit 0 when SyncEvolution can be used as a peer, else 1 with what is missing. Changes nothing but the user's cache.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
missing=()
for tool in syncevolution dbus-run-session gcc setsid sha256sum; do command -v $tool >/dev/null || missing+=("$tool"); done
[ -x /usr/libexec/syncevo-dbus-server ] || missing+=(/usr/libexec/syncevo-dbus-server)
/usr/bin/python3 -c 'import dbus, gi' 2>/dev/null || missing+=("python3 with dbus and gi")
[ ${#missing[@]} -eq 0 ] && { se_shim >/dev/null 2>&1 || missing+=("curlfix.so (does not compile)"); }
[ ${#missing[@]} -eq 0 ] && exit 0
printf 'SyncEvolution: missing %s\n' "${missing[@]}" >&2
exit 1
