#!/bin/bash
# client-sync.sh URL DIR MODE [options]: one sync of SyncEvolution as a SyncML client. Prints its report; the exit status is
# SyncEvolution's. Items are files in DIR/store/<store>/; state, logs and configuration stay in DIR too.
#   MODE            slow | two-way | refresh-from-remote | refresh-from-local | one-way-from-remote | one-way-from-local
#   --store NAME[=URI][:TYPE]   a datastore, its name at the server, its content type; repeat for several (default: note)
#   --xml | --wbxml             encoding (default: wbxml)
#   --version 1.0|1.1|1.2       SyncML version (default: 1.2)
#   --auth md5|basic            (default: md5)      --user NAME --pass PASSWORD   (default: test test)
#   --maxmsg N --maxobj N       MaxMsgSize, MaxObjSize, octets      --devid ID    SyncHdr Source LocURI (default: lab-dev-1)
#   --refresh                   allow Alert 205 (else a refresh from remote is Alert 201 after wiping itself)
#   --interrupt N DIR           send SIGINT once DIR holds N files named *-req.hdr
#   --loglevel N                1: no report; 2: report (default); 4: every message is kept below DIR/cache
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
[ $# -ge 3 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
url=$1 dir=$2 mode=$3
shift 3
wbxml=1 auth=md5 version="" user=test pass=test maxmsg="" maxobj="" devid=lab-dev-1 refresh=0 loglevel=2 interrupt=(0 "") stores=()
while [ $# -gt 0 ]; do
  case $1 in
    --wbxml) wbxml=1 ;;
    --xml) wbxml=0 ;;
    --refresh) refresh=1 ;;
    --store) stores+=("$2"); shift ;;
    --version) version=$2; shift ;;
    --auth) auth=$2; shift ;;
    --user) user=$2; shift ;;
    --pass) pass=$2; shift ;;
    --maxmsg) maxmsg=$2; shift ;;
    --maxobj) maxobj=$2; shift ;;
    --devid) devid=$2; shift ;;
    --loglevel) loglevel=$2; shift ;;
    --interrupt) interrupt=("$2" "$3"); shift 2 ;;
    *) echo "client-sync.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
[ ${#stores[@]} -gt 0 ] || stores=(note)

shim=$(se_shim) || { echo "client-sync.sh: curlfix.so cannot be built; run setup.sh" >&2; exit 1; }
se_env "$dir" && cd "$SE_ROOT" || exit 1

settings=(--template none peerIsClient=0 "syncURL=$url" "username=$user" "password=$pass" "clientAuthType=$auth"
  "enableWBXML=$wbxml" "SyncMLVersion=$version" "deviceId=$devid" "loglevel=$loglevel" "enableRefreshSync=$refresh"
  printChanges=0 dumpData=0 maxlogdirs=4 preventSlowSync=0 RetryDuration=60 RetryInterval=0 useProxy=0
  SSLVerifyServer=0 SSLVerifyHost=0)
[ -n "$maxmsg" ] && settings+=("maxMsgSize=$maxmsg")
[ -n "$maxobj" ] && settings+=("maxObjSize=$maxobj")
names=()
for store in "${stores[@]}"; do
  name=${store%%[=:]*} uri=${store%%:*} type=
  uri=${uri#*=}
  [[ $store == *:* ]] && type=${store#*:}
  type=${type:-$(se_default_type "$name")}
  mkdir -p "store/$name"
  if [ ! -d "config/syncevolution/cli/sources/$name" ]; then
    se_configure backend=file "database=file://$SE_ROOT/store/$name" "databaseFormat=$type" @cli "$name" || exit 1
  fi
  names+=("$name")
  settings+=("$name/sync=two-way" "$name/uri=$uri")
done
# A configuration step costs about as much as a sync's own work: repeat it only when something changed.
if [ "$(cat settings 2>/dev/null)" != "${settings[*]}" ]; then
  se_configure "${settings[@]}" peer@cli "${names[@]}" || exit 1
  echo "${settings[*]}" >settings
fi
# runner.py: a background job's SIGINT is ignored by the shell's children, and SyncEvolution's suspend needs it.
exec /usr/bin/python3 "$here/runner.py" "${interrupt[@]}" \
  env LD_PRELOAD="$shim" syncevolution --daemon=no --keyring=no --run --sync "$mode" peer@cli "${names[@]}"
