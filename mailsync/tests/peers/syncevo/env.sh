# shellcheck shell=bash
# Sourced by the scripts beside it: a private, desktop-free environment for one SyncEvolution instance.

# Datastores: name:content type. The server offers each under its name; the client uses the type as a default.
SE_STORES="note:text/plain card:text/vcard card21:text/x-vcard cal:text/calendar vcal:text/x-vcalendar todo:text/calendar"

# se_default_type NAME: the content type a datastore of this name has when none is given.
se_default_type() {
  local st
  for st in $SE_STORES; do [ "${st%%:*}" = "$1" ] && { echo "${st#*:}"; return; }; done
  echo text/plain
}

# se_shim: print the path of curlfix.so, built on first use into the user's cache, never into the source tree.
# Its name carries a checksum of the source, so an edited source is built anew and parallel tests agree.
se_shim() {
  local src cache sum so
  src=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/curlfix.c
  cache=${MAILSYNC_PEERS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/mailsync-peers}
  sum=$(sha256sum "$src"); so=$cache/curlfix-${sum:0:16}.so
  if [ ! -e "$so" ]; then
    mkdir -p "$cache" && gcc -O2 -shared -fPIC -o "$so.$$" "$src" -ldl && mv "$so.$$" "$so" || return 1
  fi
  echo "$so"
}

# se_env DIR: point HOME and XDG_* into DIR, so that nothing of the user is read or written; sets SE_ROOT.
# Call se_shim before it: the cache is found by the real HOME.
se_env() {
  mkdir -p "$1" && SE_ROOT=$(cd "$1" && pwd) || return 1
  export HOME=$SE_ROOT/home XDG_CONFIG_HOME=$SE_ROOT/config XDG_DATA_HOME=$SE_ROOT/data
  export XDG_CACHE_HOME=$SE_ROOT/cache XDG_RUNTIME_DIR=$SE_ROOT/run
  mkdir -p "$HOME" "$XDG_CONFIG_HOME" "$XDG_DATA_HOME" "$XDG_CACHE_HOME" "$XDG_RUNTIME_DIR" "$SE_ROOT/store"
  chmod 700 "$XDG_RUNTIME_DIR"
  unset DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS http_proxy HTTP_PROXY https_proxy HTTPS_PROXY
  export LC_ALL=C.UTF-8 GSETTINGS_BACKEND=memory
}

# se_configure ARGS...: one quiet configuration step; on failure the log's end goes to stderr.
se_configure() {
  syncevolution --daemon=no --keyring=no --configure "$@" >>"$SE_ROOT/setup.log" 2>&1 || {
    echo "syncevolution --configure failed; the end of $SE_ROOT/setup.log:" >&2
    tail -5 "$SE_ROOT/setup.log" >&2
    return 1
  }
}
