#!/bin/bash
# check.sh: exit 0 when the SIP peers can be used, else 1 with what is missing. Changes nothing.
missing=()
for tool in sipp tshark; do command -v $tool >/dev/null || missing+=("$tool"); done
[ ${#missing[@]} -eq 0 ] && exit 0
printf 'SIP peers: missing %s\n' "${missing[@]}" >&2
exit 1
