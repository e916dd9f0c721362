#!/bin/bash
# uas.sh DIR KIND PORT: SIPp as a terminal on 127.0.0.1:PORT, in the foreground; ends with its stdin, or when killed.
#   KIND  message | message-auth | invite-cancel (uas-KIND.xml);  STATUS="202 Accepted": its answer to a message
# Prints {"ready":true,"sip":"127.0.0.1:PORT"} when it listens. In DIR: msg.log (all messages), err.log (what was not as
# the scenario wants it), note.log (what it noted).
set -u
here=$(cd "$(dirname "$0")" && pwd)
D=$1 KIND=$2 PORT=$3
mkdir -p "$D" && cd "$D" || exit 1
sed "s/@STATUS@/${STATUS:-200 OK}/" "$here/uas-$KIND.xml" >scenario.xml
sipp -sf scenario.xml -i 127.0.0.1 -bind_local -p "$PORT" -t u1 -nostdin -ci 127.0.0.1 -cp "$CONTROL" -mi 127.0.0.1 -mp "$MEDIA" \
  -trace_msg -message_file msg.log -trace_err -error_file err.log -trace_logs -log_file note.log >out.txt 2>&1 </dev/null &
sipp=$!
trap 'kill $sipp 2>/dev/null; wait $sipp 2>/dev/null' EXIT
listens() { grep -q ":$(printf %04X "$PORT") " /proc/net/udp; }
for _ in $(seq 100); do listens && break; kill -0 $sipp 2>/dev/null || break; sleep 0.1; done
listens || { cat out.txt >&2; exit 1; }
echo "{\"ready\":true,\"sip\":\"127.0.0.1:$PORT\"}"
cat >/dev/null
