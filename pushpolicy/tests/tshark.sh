#!/bin/sh
# Installs tshark, the independent judge of tests/tshark.rs (Debian package). Run as root; starts nothing.
# Then: MAILSYNC_PEERS=1 cargo test -p pushpolicy --features bearer --test tshark
set -eu
if command -v tshark >/dev/null; then
    tshark --version | head -n 1
    exit 0
fi
echo 'wireshark-common wireshark-common/install-setuid boolean false' | debconf-set-selections
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends tshark
tshark --version | head -n 1
