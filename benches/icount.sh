#!/bin/bash
# benches/icount.sh [NAME...]: instructions of one execution of each piece of work, by valgrind --tool=callgrind.
# What starts and sets up is taken away: 11 executions less 1, divided by 10. With "-floor" beside it, the ratio.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is not installed: apt-get install valgrind" >&2; exit 2; }
cargo build --release --quiet -p benches --bin icount
binary=${CARGO_TARGET_DIR:-target}/release/icount
count() { # NAME TIMES
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" "$2" 2>&1 |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
declare -A per
if [ $# -gt 0 ]; then names=("$@"); else mapfile -t names < <("$binary" list); fi
for name in "${names[@]}"; do
  per[$name]=$((($(count "$name" 11) - $(count "$name" 1)) / 10))
  printf '%-28s %12d\n' "$name" "${per[$name]}"
done
for name in "${names[@]}"; do
  case $name in *-floor-*) continue ;; esac
  floor=${name%-*}-floor-${name##*-}
  [ -n "${per[$floor]:-}" ] && awk -v n="$name" -v a="${per[$name]}" -v b="${per[$floor]}" 'BEGIN { printf "%-28s %12.2f times its floor\n", n, a / b }'
done
exit 0
