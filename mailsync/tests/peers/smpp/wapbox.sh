#!/bin/bash
# wapbox.sh DIR HOST:PORT: Kannel's bearerbox and wapbox as a push proxy gateway before the centre at HOST:PORT, in the foreground.
# Prints {"ready":true,"pap":"http://127.0.0.1:PORT/wappush"}; ends with its stdin, or when killed.
# env: SYSID, PASSWD, PORT1..PORT4 (free ports). UDP 9200 and 9201 of 127.0.0.1 are taken too: Kannel fixes them.
set -u
here=$(cd "$(dirname "$0")" && pwd)
D=$1 HOST=${2%:*} PORT=${2##*:}
PATH=$PATH:/usr/sbin:/usr/lib/kannel
mkdir -p "$D"
cc -shared -fPIC -O1 -o "$D/loopback.so" "$here/loopback.c" -ldl || exit 1
cat >"$D/wapbox.conf" <<C
group = core
admin-port = $PORT1
admin-interface = 127.0.0.1
admin-password = adm
status-password = st
smsbox-port = $PORT2
smsbox-interface = 127.0.0.1
wapbox-port = $PORT3
wdp-interface-name = "127.0.0.1"
box-allow-ip = 127.0.0.1
log-file = "$D/bearerbox.log"
log-level = 0
dlr-storage = internal

group = smsbox
bearerbox-host = 127.0.0.1

group = wapbox
bearerbox-host = 127.0.0.1
log-file = "$D/wapbox.log"
log-level = 0

group = ppg
ppg-url = /wappush
ppg-port = $PORT4
ppg-allow-ip = 127.0.0.1
trusted-pi = false
users = 10
concurrent-pushes = 100
global-sender = 447700900123

group = smsc
smsc = smpp
smsc-id = lab
host = $HOST
port = $PORT
transceiver-mode = true
smsc-username = $SYSID
smsc-password = $PASSWD
system-type = ""
interface-version = 34
source-addr-ton = 1
source-addr-npi = 1
dest-addr-ton = 1
dest-addr-npi = 1
enquire-link-interval = 10
reconnect-delay = 1

group = wap-push-user
wap-push-user = pi1
ppg-username = pi1
ppg-password = $PASSWD
allow-ip = 127.0.0.1
C
wait_for() { for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done; return 1; }
LD_PRELOAD="$D/loopback.so" bearerbox "$D/wapbox.conf" >"$D/bearerbox.out" 2>&1 </dev/null &
bearer=$!
box=
trap 'kill $box $bearer 2>/dev/null; wait $box $bearer 2>/dev/null' EXIT
wait_for "$PORT3" || { cat "$D/bearerbox.out" >&2; exit 1; }
LD_PRELOAD="$D/loopback.so" wapbox "$D/wapbox.conf" >"$D/wapbox.out" 2>&1 </dev/null &
box=$!
wait_for "$PORT4" || { cat "$D/wapbox.out" >&2; exit 1; }
echo "{\"ready\":true,\"pap\":\"http://127.0.0.1:$PORT4/wappush\"}"
cat >/dev/null
