#!/bin/bash
# postfix.sh DIR SUBMISSION SUBMISSIONS LMTP SINK: a private Postfix on those ports of 127.0.0.1, in the foreground; needs root
# or sudo. DIR is that of a running dovecot.sh, which checks logins. Mail for @lab.test goes to LMTP, all else to SINK
# (host:port each); who does not log in may send nothing.
# Prints {"ready":true,...}; ends with its stdin.
set -eu
[ "$(id -u)" = 0 ] || exec sudo -n "$0" "$@"
PATH=$PATH:/usr/sbin
D=$(realpath -m "$1") P=$2 S=$3 LMTP=$4 SINK=$5
E=$D/postfix/etc Q=$D/postfix/queue
mkdir -p "$E" "$Q" "$D/postfix/data"
chmod 755 "$D" "$D/postfix"
chown postfix "$D/postfix/data"
cat >"$E/main.cf" <<C
compatibility_level = 3.6
queue_directory = $Q
data_directory = $D/postfix/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.lab.test
mydomain = lab.test
myorigin = lab.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.2/32
virtual_mailbox_domains = lab.test
virtual_transport = lmtp:inet:[${LMTP%:*}]:${LMTP##*:}
virtual_mailbox_maps = inline:{ {alice@lab.test=x} {bob@lab.test=x} {carol@lab.test=x} {dave@lab.test=x} }
recipient_delimiter = +
relayhost = [${SINK%:*}]:${SINK##*:}
smtp_host_lookup = native
lmtp_host_lookup = native
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_type = dovecot
smtpd_sasl_path = $D/run/auth-postfix
smtpd_sasl_auth_enable = yes
smtpd_sasl_security_options = noanonymous
smtpd_tls_cert_file = $D/tls/cert.pem
smtpd_tls_key_file = $D/tls/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtp_tls_security_level = none
smtputf8_enable = yes
message_size_limit = 52428800
mailbox_size_limit = 0
alias_maps =
alias_database =
biff = no
minimal_backoff_time = 1s
maximal_backoff_time = 5s
queue_run_delay = 1s
maillog_file = $D/postfix.log
maillog_file_prefixes = $D
C
cat >"$E/master.cf" <<C
127.0.0.1:$P inet n - n - - smtpd
127.0.0.1:$S inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
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
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
C
postfix -c "$E" start-fg </dev/null >"$D/postfix.out" 2>&1 &
# The master leaves our process group; so does its end, which must come also when the group is killed.
# It knows the master before it waits: at the end the folder with its number may be gone already.
# shellcheck disable=SC2016
setsid bash -c 'until [ -s "$0" ]; do [ -d "${1%/*}" ] || exit; sleep 0.1; done
  master=$(tr -d " " <"$0"); : >"$1"; cat >/dev/null; kill "$master"' "$Q/pid/master.pid" "$D/watched" <&0 >/dev/null 2>&1 &
end=$!
until [ -e "$D/watched" ] || ! kill -0 $end 2>/dev/null; do sleep 0.05; done
for _ in $(seq 300); do (exec 3<>"/dev/tcp/127.0.0.1/$P") 2>/dev/null && break; sleep 0.1; done
(exec 3<>"/dev/tcp/127.0.0.1/$P") 2>/dev/null || { cat "$D/postfix.out" "$D/postfix.log" >&2; exit 1; }
echo "{\"ready\":true,\"smtp\":\"127.0.0.1:$P\"}"
wait $end
