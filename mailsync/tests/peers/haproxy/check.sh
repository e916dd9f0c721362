#!/bin/bash
# check.sh: exit 0 when HAProxy and openssl are installed, else 1.
export PATH=$PATH:/usr/sbin
for program in haproxy openssl; do
  command -v $program >/dev/null || { echo "haproxy: missing $program" >&2; exit 1; }
done
