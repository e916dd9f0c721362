#!/bin/bash
# run.sh DIR PORT RELAY: a private Postfix on 127.0.0.1:PORT, in the foreground; needs root or sudo, as Postfix does.
# Mail for elsewhere.example is delivered into DIR/mail/NAME/ (Maildir); all else goes to RELAY (host:port).
# Prints {"ready":true,"smtp":"127.0.0.1:PORT"}; ends with its stdin.
set -eu
[ "$(id -u)" = 0 ] || exec sudo -n "$0" "$@"
PATH=$PATH:/usr/sbin
D=$(realpath -m "$1") P=$2 RELAY=$3
E=$D/etc Q=$D/queue
mkdir -p "$E" "$Q" "$D/data" "$D/mail"
chmod 755 "$D"; chown postfix "$D/data"
owner=$(id -u postfix) group=$(id -g postfix)
chown postfix "$D/mail"
cat >"$E/main.cf" <<C
compatibility_level = 3.6
queue_directory = $Q
data_directory = $D/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.elsewhere.example
mydomain = elsewhere.example
myorigin = elsewhere.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = elsewhere.example
virtual_mailbox_base = $D/mail
virtual_mailbox_maps = inline:{ {carl@elsewhere.example=carl/} }
virtual_minimum_uid = 1
virtual_uid_maps = static:$owner
virtual_gid_maps = static:$group
relayhost = [${RELAY%:*}]:${RELAY##*:}
smtp_host_lookup = native
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtpd_recipient_restrictions = permit_mynetworks, reject
smtputf8_enable = yes
alias_maps =
alias_database =
biff = no
minimal_backoff_time = 1s
maximal_backoff_time = 5s
queue_run_delay = 1s
maillog_file = $D/mail.log
maillog_file_prefixes = $D
C
cat >"$E/master.cf" <<C
127.0.0.1:$P inet n - n - - smtpd
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
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
C
postfix -c "$E" start-fg </dev/null >"$D/master.out" 2>&1 &
# The master leaves our process group; so does its end, which must come also when the group is killed.
# It knows the master before it waits: at the end the folder with its number may be gone already.
# shellcheck disable=SC2016
setsid bash -c 'until [ -s "$0" ]; do [ -d "${1%/*}" ] || exit; sleep 0.1; done
  master=$(tr -d " " <"$0"); : >"$1"; cat >/dev/null; kill "$master"' "$Q/pid/master.pid" "$D/watched" <&0 >/dev/null 2>&1 &
end=$!
until [ -e "$D/watched" ] || ! kill -0 $end 2>/dev/null; do sleep 0.05; done
for _ in $(seq 500); do (exec 3<>"/dev/tcp/127.0.0.1/$P") 2>/dev/null && break; sleep 0.1; done
(exec 3<>"/dev/tcp/127.0.0.1/$P") 2>/dev/null || { cat "$D/master.out" "$D/mail.log" >&2; exit 1; }
echo "{\"ready\":true,\"smtp\":\"127.0.0.1:$P\"}"
wait $end
