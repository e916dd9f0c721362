# shellcheck shell=bash
# Sourced by the scripts beside it: where the packages of npm are, outside of the source tree.
SMPP_NPM=${MAILSYNC_PEERS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/mailsync-peers}/npm
export NODE_PATH=$SMPP_NPM/node_modules
