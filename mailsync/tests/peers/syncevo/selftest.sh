#!/bin/bash
# selftest.sh: SyncEvolution's client against its own server, in XML and in WBXML: a slow sync of items on both sides, then a
# two-way sync of an add, an edit and a delete. Exit 0 when both stores end equal. About 10 s; leaves no process and no file.
# When an interop test fails and this passes, the peer is not the one to blame.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
finish() {
  for dir in "$work"/*/server; do "$here/stop-server.sh" "$dir"; done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

clock=$(($(date +%s) - 1000))
put() { # FILE TEXT: write an item with a modification time no other item has
  printf '%s\n' "$2" >"$1"
  clock=$((clock + 1))
  touch -d "@$clock" "$1"
}
texts() { # DIR: the notes, one a line, sorted; SyncEvolution adds line ends to what it receives
  local file
  for file in "$1"/store/note/*; do tr -d '\r\n' <"$file"; echo; done | sort
}
sync() { # MODE ENCODING
  "$here/client-sync.sh" "$url" "$client" "$1" "--$2" >"$client/report" 2>&1 || { cat "$client/report" >&2; exit 1; }
}
expect() { # ENCODING TEXTS...: both stores hold exactly these
  local encoding=$1 want side
  shift
  want=$(printf '%s\n' "$@" | sort)
  for side in client server; do
    [ "$(texts "$work/$encoding/$side")" = "$want" ] && continue
    printf 'selftest %s: the %s holds\n%s\ninstead of\n%s\n' "$encoding" $side "$(texts "$work/$encoding/$side")" "$want" >&2
    exit 1
  done
}

for encoding in xml wbxml; do
  client=$work/$encoding/client server=$work/$encoding/server
  mkdir -p "$client/store/note" "$server/store/note"
  put "$client/store/note/a" 'from the client: <&> 你好'
  put "$client/store/note/b" 'to be deleted'
  put "$server/store/note/c" 'from the server: Grüße'
  url=$("$here/run-server.sh" 0 "$server" --stores note)
  sync slow $encoding
  expect $encoding 'from the client: <&> 你好' 'to be deleted' 'from the server: Grüße'
  put "$client/store/note/a" 'edited at the client'
  rm "$client/store/note/b"
  put "$server/store/note/d" 'added at the server'
  sync two-way $encoding
  expect $encoding 'edited at the client' 'from the server: Grüße' 'added at the server'
  "$here/stop-server.sh" "$server"
  echo "SyncEvolution with itself, $encoding: ok"
done
