# Read by the scripts that start a Postfix, which differ in what it is for: the services that each of them has, and how it is
# run and ended. Wants D (its folder), E (its configuration), Q (its queue), P (its port).
# shellcheck shell=bash disable=SC2154

services() {
  cat <<'C'
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
C
}

serve() { # LOG: says on stdout that it is ready, and ends with stdin
  local end log=$1
  postfix -c "$E" start-fg </dev/null >"$D/postfix.out" 2>&1 &
  # The master leaves our process group; so does its end, which must come also when the group is killed.
  # It knows the master before it waits: at the end the folder with its number may be gone already.
  # shellcheck disable=SC2016
  setsid bash -c 'until [ -s "$0" ]; do [ -d "${1%/*}" ] || exit; sleep 0.1; done
    master=$(tr -d " " <"$0"); : >"$1"; cat >/dev/null; kill "$master"' "$Q/pid/master.pid" "$D/watched" <&0 >/dev/null 2>&1 &
  end=$!
  until [ -e "$D/watched" ] || ! kill -0 $end 2>/dev/null; do sleep 0.05; done
  for _ in $(seq 500); do (exec 3<>"/dev/tcp/127.0.0.1/$P") 2>/dev/null && break; sleep 0.1; done
  (exec 3<>"/dev/tcp/127.0.0.1/$P") 2>/dev/null || { cat "$D/postfix.out" "$log" >&2; exit 1; }
  echo "{\"ready\":true,\"smtp\":\"127.0.0.1:$P\"}"
  wait $end
}
