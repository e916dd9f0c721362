#!/bin/bash
# stop-server.sh DIR: end the server that run-server.sh started for DIR, by the process id it recorded; waits until it is gone.
pid=$(cat "$1/front.pid" 2>/dev/null) || exit 0
kill -TERM "$pid" 2>/dev/null
for _ in $(seq 250); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
kill -KILL "$pid" 2>/dev/null
rm -f "$1/front.pid" "$1/url"
