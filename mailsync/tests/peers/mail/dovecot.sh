#!/bin/bash
# dovecot.sh DIR IMAP IMAPS LMTP SUBMISSION SUBMISSIONS POP3 POP3S RELAY: a private Dovecot on those ports of 127.0.0.1, in
# the foreground, as whatever user. IMAP has CATENATE and URLAUTH, submission has BURL and hands on to RELAY (host:port).
# Users alice bob carol dave, password lab-NAME, address NAME@lab.test; mail below DIR/mail. CA in DIR/tls/ca.pem.
# POORMAN=1: IMAP without CONDSTORE, QRESYNC, MOVE, UIDPLUS, SPECIAL-USE, LIST-STATUS and IDLE: they are not offered.
# Prints {"ready":true,...}; ends with its stdin. DIR must be short: unix sockets are in it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
D=$(realpath -m "$1")
shift
IMAP=$1 IMAPS=$2 LMTP=$3 SUBMISSION=$4 SUBMISSIONS=$5 POP3=$6 POP3S=$7 RELAY=$8
RUN=$D/run ETC=$D/etc
mkdir -p "$RUN" "$ETC" "$D/mail" "$D/state"
chmod 755 "$D" "$RUN" "$ETC" "$D/mail"
[ ${#RUN} -lt 70 ] || { echo "dovecot.sh: too long for unix sockets: $RUN" >&2; exit 1; }
"$here/mktls.sh" "$D"
uid=$(id -u) gid=$(id -g) user=$(id -un) group=$(id -gn) internal=$(id -un) login=$(id -un) chroot="chroot ="
if [ "$uid" = 0 ]; then
  # Dovecot reads no mail as root: as the user that the package made for itself.
  user=dovecot group=dovecot internal=dovecot login=dovenull chroot=""
  uid=$(id -u dovecot) gid=$(id -g dovecot)
  chown dovecot:dovecot "$D/mail"
fi
: >"$ETC/users"
for name in alice bob carol dave; do
  echo "$name:{PLAIN}lab-$name:$uid:$gid::$D/mail/$name::" >>"$ETC/users"
done
chmod 644 "$ETC/users"
capability=""
[ "${POORMAN:-}" != 1 ] || capability="IMAP4rev1 AUTH=PLAIN"
listener() { # NAME PORT [ssl]
  echo "inet_listener $1 {"
  echo "address = 127.0.0.1"
  echo "port = $2"
  [ -z "${3:-}" ] || echo "ssl = yes"
  echo "}"
}
cat >"$ETC/dovecot.conf" <<C
base_dir = $RUN
state_dir = $D/state
log_path = $D/dovecot.log
instance_name = $IMAP
listen = 127.0.0.1
protocols = imap lmtp submission pop3
default_internal_user = $internal
default_internal_group = $group
default_login_user = $login
mail_uid = $uid
mail_gid = $gid
first_valid_uid = 1
first_valid_gid = 1
hostname = mail.lab.test
postmaster_address = postmaster@lab.test
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_format = %Ln
auth_failure_delay = 0
ssl = yes
ssl_cert = <$D/tls/cert.pem
ssl_key = <$D/tls/key.pem
mail_location = maildir:~/Maildir:LAYOUT=fs
mail_attribute_dict = file:%h/attributes
mailbox_list_index = yes
mail_plugins = notify
imap_capability = $capability
imap_hibernate_timeout = 0
imap_metadata = yes
imap_urlauth_host = 127.0.0.1
imap_urlauth_port = $IMAP
imap_idle_notify_interval = 2 mins
mail_max_userip_connections = 200
submission_relay_host = ${RELAY%:*}
submission_relay_port = ${RELAY##*:}
submission_relay_ssl = no
recipient_delimiter = +
lda_mailbox_autocreate = yes
pop3_uidl_format = %08Xu%08Xv
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%n $ETC/users
}
userdb {
  driver = passwd-file
  args = username_format=%n $ETC/users
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Drafts {
    special_use = \\Drafts
    auto = subscribe
  }
  mailbox Sent {
    special_use = \\Sent
    auto = subscribe
  }
  mailbox Trash {
    special_use = \\Trash
    auto = subscribe
  }
}
service imap-login {
  $chroot
  $(listener imap "$IMAP")
  $(listener imaps "$IMAPS" ssl)
}
service lmtp {
  $(listener lmtp "$LMTP")
}
service submission-login {
  $chroot
  $(listener submission "$SUBMISSION")
  $(listener submissions "$SUBMISSIONS" ssl)
}
service pop3-login {
  $chroot
  $(listener pop3 "$POP3")
  $(listener pop3s "$POP3S" ssl)
}
service imap-urlauth-login {
  $chroot
}
service anvil {
  $chroot
}
service stats {
  $chroot
}
service auth {
  unix_listener auth-postfix {
    mode = 0666
  }
}
C
/usr/sbin/dovecot -F -c "$ETC/dovecot.conf" </dev/null >"$D/master.out" 2>&1 &
# Its end must come also when the group is killed.
# shellcheck disable=SC2016
setsid bash -c 'cat >/dev/null; kill "$0"' $! <&0 >/dev/null 2>&1 &
end=$!
for _ in $(seq 300); do (exec 3<>"/dev/tcp/127.0.0.1/$IMAP") 2>/dev/null && break; sleep 0.1; done
(exec 3<>"/dev/tcp/127.0.0.1/$IMAP") 2>/dev/null || { cat "$D/master.out" "$D/dovecot.log" >&2; exit 1; }
echo "{\"ready\":true,\"imap\":\"127.0.0.1:$IMAP\"}"
wait $end
