#!/bin/bash
# run-server.sh PORT DIR [options]: SyncEvolution as a SyncML server on 127.0.0.1:PORT (0: any free port), items as files in
# DIR/store/<name>/. Without --foreground it prints the URL when ready and leaves the server running: end it with stop-server.sh DIR.
#   --foreground   stay; print {"ready":true,"syncml":URL} when ready; end on SIGTERM or when standard input is closed
#   --peers N      accept the devices lab-dev-1 .. lab-dev-N (default: 1); it knows its clients by SyncHdr Source LocURI only
#   --stores LIST  names from env.sh, separated by commas (default: all six, which makes a DevInf of 51 kB in XML)
#   --user NAME --pass PASSWORD   (default: test test)     --maxmsg N    --version 1.1|1.2    --loglevel N
set -e
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
port=$1 dir=$2
shift 2
foreground=0 peers=1 stores="" user=test pass=test maxmsg="" version="" loglevel=1
while [ $# -gt 0 ]; do
  case $1 in
    --foreground) foreground=1 ;;
    --peers) peers=$2; shift ;;
    --stores) stores=${2//,/ }; shift ;;
    --user) user=$2; shift ;;
    --pass) pass=$2; shift ;;
    --maxmsg) maxmsg=$2; shift ;;
    --version) version=$2; shift ;;
    --loglevel) loglevel=$2; shift ;;
    *) echo "run-server.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
se_env "$dir"
cd "$SE_ROOT"
[ -n "$stores" ] || for st in $SE_STORES; do stores+=" ${st%%:*}"; done

if [ ! -e configured ]; then
  settings=(--template none peerIsClient=1 syncURL= "username=$user" "password=$pass" "loglevel=$loglevel"
    printChanges=0 dumpData=0 maxlogdirs=4 preventSlowSync=0)
  [ -n "$maxmsg" ] && settings+=("maxMsgSize=$maxmsg")
  [ -n "$version" ] && settings+=("SyncMLVersion=$version")
  for name in $stores; do
    mkdir -p "store/$name"
    se_configure backend=file "database=file://$SE_ROOT/store/$name" "databaseFormat=$(se_default_type "$name")" @srv "$name"
    settings+=("$name/sync=two-way" "$name/uri=$name")
  done
  for i in $(seq "$peers"); do
    # shellcheck disable=SC2086 # a list of plain names
    se_configure "${settings[@]}" "remoteDeviceId=lab-dev-$i" "p$i@srv" $stores
  done
  touch configured
fi

rm -f url front.pid
front=(dbus-run-session -- /usr/bin/python3 "$here/front.py" "$port" "$SE_ROOT")
[ $foreground = 1 ] && SE_STDIN_GUARD=1 exec "${front[@]}" 2>front.log
setsid "${front[@]}" >front.out 2>front.log </dev/null &
pid=$!
for _ in $(seq 300); do
  [ -s url ] && { cat url; exit 0; }
  kill -0 $pid 2>/dev/null || break
  sleep 0.1
done
echo "run-server.sh: SyncEvolution did not start; the end of $SE_ROOT/front.log:" >&2
tail -5 front.log >&2
kill $pid 2>/dev/null
exit 1
