#!/bin/bash
# benches/sync.sh [N] [--xml] [--syncevolution]: N notes (10000) of about 200 octets through the two binaries, slow and then
# with no change: wall time, CPU and peak memory of both processes. With --syncevolution the same notes with SyncEvolution on
# both sides, in the same run: on a busy machine only the ratio says something. (Its server is several processes that come and
# go: its CPU and memory are not counted.)
set -euo pipefail
cd "$(dirname "$0")/.."
count=10000 wire=wbxml peer=0
for option in "$@"; do
  case $option in
    --xml) wire=xml ;;
    --syncevolution) peer=1 ;;
    *[!0-9]*) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    *) count=$option ;;
  esac
done
[ -x /usr/bin/time ] || { echo "/usr/bin/time is not installed: apt-get install time" >&2; exit 2; }
# MAILSYNC_BIN: a folder with both binaries, built already.
[ -n "${MAILSYNC_BIN:-}" ] || cargo build --release --quiet -p mailsync --bins
bin=$(cd "${MAILSYNC_BIN:-${CARGO_TARGET_DIR:-target}/release}" && pwd)
work=$(mktemp -d)
export MAILSYNC_PASSWORD=test
server=
finish() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; }
trap finish EXIT

notes() { # DIR
  mkdir -p "$1"
  awk -v n="$count" -v dir="$1" 'BEGIN {
    for (i = 0; i < 176; i++) tail = tail substr("the quick brown fox jumps over the lazy dog. ", i % 45 + 1, 1)
    for (i = 0; i < n; i++) { file = sprintf("%s/n%06d", dir, i); printf "note %06d: %s\n", i, tail > file; close(file) } }'
}
cpu() { awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / hz }' "/proc/$1/stat"; }
peak() { awk '/VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }
printf '%-34s %8s %12s %12s %12s %12s\n' "$count notes, $wire" 'wall s' 'client CPU s' 'client MB' 'server CPU s' 'server MB'
row() { printf '%-34s %8s %12s %12s %12s %12s\n' "$@"; }

notes "$work/c/notes"
"$bin/mailsyncd" --data "$work/d" user add test >/dev/null
"$bin/mailsyncd" --data "$work/d" --http 127.0.0.1:0 --smtp 127.0.0.1:0 >"$work/ready" 2>"$work/log" &
server=$!
until [ -s "$work/ready" ]; do sleep 0.05; done
url=$(sed -n 's/.*"syncml":"\([^"]*\)".*/\1/p' "$work/ready")
sync() { # NAME MODE
  local before
  before=$(cpu $server)
  /usr/bin/time -f '%e %U %S %M' -o "$work/time" "$bin/mailsync" sync --server "$url" --user test --dir "$work/c" \
    --store notes --wire $wire --mode "$2" >"$work/report"
  read -r wall user system memory <"$work/time"
  row "$1" "$wall" "$(awk "BEGIN { print $user + $system }")" "$((memory / 1024))" \
    "$(awk "BEGIN { printf \"%.2f\", $(cpu $server) - $before }")" "$(peak $server)"
}
sync 'mailsync to mailsyncd, slow' slow
sync 'mailsync to mailsyncd, no change' two-way
grep -q 'sent 0 new, 0 changed' "$work/report" || { cat "$work/report" >&2; exit 1; }
kill "$server"; wait "$server" || true; server=
[ $peer = 1 ] || exit 0

syncevo=mailsync/tests/peers/syncevo
notes "$work/se-c/store/note"
$syncevo/run-server.sh 0 "$work/se-s" --stores note >"$work/url"
for mode in slow two-way; do
  /usr/bin/time -f '%e %U %S %M' -o "$work/time" $syncevo/client-sync.sh "$(cat "$work/url")" "$work/se-c" $mode --$wire \
    --store note --loglevel 1 >"$work/report" 2>&1 || { tail -5 "$work/report" >&2; $syncevo/stop-server.sh "$work/se-s"; exit 1; }
  read -r wall user system memory <"$work/time"
  row "SyncEvolution to itself, $mode" "$wall" "$(awk "BEGIN { print $user + $system }")" "$((memory / 1024))" - -
done
$syncevo/stop-server.sh "$work/se-s"
