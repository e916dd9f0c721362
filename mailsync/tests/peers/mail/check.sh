#!/bin/bash
# check.sh: exit 0 when the mail servers can be run by a test, else 1 with what is missing.
missing=""
for file in /usr/sbin/dovecot /usr/lib/dovecot/imap /usr/lib/dovecot/lmtp /usr/lib/dovecot/pop3 /usr/lib/dovecot/submission \
  /usr/lib/dovecot/imap-urlauth /usr/lib/dovecot/imap-urlauth-worker /usr/sbin/postfix; do
  [ -x "$file" ] || missing="$missing $file"
done
for program in openssl python3; do
  command -v "$program" >/dev/null || missing="$missing $program"
done
[ -z "$missing" ] || { echo "mail servers: missing$missing" >&2; exit 1; }
[ "$(id -u)" = 0 ] || command -v sudo >/dev/null || { echo "Postfix: needs root or sudo to run" >&2; exit 1; }
