#!/bin/bash
# check.sh: exit 0 when the SMPP peers can be used, else 1 with what is missing. Changes nothing.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
missing=()
PATH=$PATH:/usr/sbin:/usr/lib/kannel
for tool in bearerbox smsbox wapbox node swaks curl cc; do command -v $tool >/dev/null || missing+=("$tool"); done
[ ${#missing[@]} -eq 0 ] && { node -e 'require("smpp")' 2>/dev/null || missing+=("the npm package smpp"); }
[ ${#missing[@]} -eq 0 ] && exit 0
printf 'SMPP peers: missing %s\n' "${missing[@]}" >&2
exit 1
