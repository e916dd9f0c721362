#!/bin/bash
# kannel.sh DIR HOST:PORT: Kannel's bearerbox and smsbox as a client of the centre at HOST:PORT, in the foreground.
# Prints {"ready":true,"http":"127.0.0.1:PORT"} when its HTTP interface is up; ends with its stdin, or when killed.
# env: SYSID, PASSWD, MO_URL (where smsbox fetches for each message that comes), PORT1..PORT3 (free ports)
set -u
D=$1 HOST=${2%:*} PORT=${2##*:}
PATH=$PATH:/usr/sbin:/usr/lib/kannel
mkdir -p "$D"
cat >"$D/kannel.conf" <<C
group = core
admin-port = $PORT1
admin-interface = 127.0.0.1
admin-password = adm
status-password = st
smsbox-port = $PORT2
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
log-file = "$D/bearerbox.log"
log-level = 0
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = ours
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
enquire-link-interval = 5
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = $PORT2
sendsms-port = $PORT3
sendsms-interface = 127.0.0.1
log-file = "$D/smsbox.log"
log-level = 0
mo-recode = true

group = sendsms-user
username = t
password = t
concatenation = true
max-messages = 10
user-allow-ip = 127.0.0.1

group = sms-service
keyword = default
max-messages = 0
catch-all = true
omit-empty = true
get-url = "$MO_URL?from=%p&to=%P&text=%b&coding=%c"
C
bearerbox "$D/kannel.conf" >"$D/bearerbox.out" 2>&1 </dev/null &
bearer=$!
box=
trap 'kill $box $bearer 2>/dev/null; wait $box $bearer 2>/dev/null' EXIT
wait_for() { for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done; return 1; }
wait_for "$PORT2" || { cat "$D/bearerbox.out" >&2; exit 1; }
smsbox "$D/kannel.conf" >"$D/smsbox.out" 2>&1 </dev/null &
box=$!
wait_for "$PORT3" || { cat "$D/smsbox.out" >&2; exit 1; }
echo "{\"ready\":true,\"http\":\"127.0.0.1:$PORT3\"}"
cat >/dev/null
