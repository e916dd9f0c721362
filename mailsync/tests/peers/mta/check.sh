#!/bin/bash
# check.sh: exit 0 when Postfix can be run by a test, else 1 with what is missing.
[ -x /usr/sbin/postfix ] || { echo "Postfix: missing /usr/sbin/postfix" >&2; exit 1; }
[ "$(id -u)" = 0 ] || command -v sudo >/dev/null || { echo "Postfix: needs root or sudo to run" >&2; exit 1; }
