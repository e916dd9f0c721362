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
. "${BASH_SOURCE%/*}/../mta/serve.sh"
{
  services
  cat <<C
127.0.0.1:$P inet n - n - - smtpd
127.0.0.1:$S inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
tlsmgr unix - - n 1000? 1 tlsmgr
lmtp unix - - n - - lmtp
C
} >"$E/master.cf"
serve "$D/postfix.log"
