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
. "${BASH_SOURCE%/*}/serve.sh"
{
  services
  cat <<C
127.0.0.1:$P inet n - n - - smtpd
virtual unix - n n - - virtual
C
} >"$E/master.cf"
serve "$D/mail.log"
