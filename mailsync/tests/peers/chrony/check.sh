#!/bin/bash
# check.sh: exit 0 when chronyd and libfaketime are installed (reference clocks, honest and wrong by a known error), else 1.
[ -x /usr/sbin/chronyd ] || command -v chronyd >/dev/null || { echo "chrony: missing chronyd" >&2; exit 1; }
for library in /usr/lib/*/faketime/libfaketime.so.1; do
  [ -e "$library" ] || { echo "chrony: missing libfaketime" >&2; exit 1; }
done
