#!/bin/bash
# setup.sh: install Dovecot, Postfix and what the mail tests need on Debian 12 (root, or sudo). Nothing is started.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
RUNLEVEL=1 "$here/../apt-install.sh" dovecot-imapd dovecot-lmtpd dovecot-submissiond dovecot-pop3d postfix openssl python3
"$here/check.sh"
