#!/bin/bash
# fuzz/campaign.sh [--seconds N] [--out DIR] [TARGET...]: a campaign with libFuzzer, one target after the other.
#   N: seconds of processor time a target, so that a busy machine counts the same (600). DIR: target/campaign.
#   TARGET: as `cargo run -p fuzz -- list` names them; all of them without one.
# Nothing to install: stable Rust with RUSTC_BOOTSTRAP=1, and a C++ compiler for libFuzzer. It keeps in DIR:
#   corpus/TARGET  what was found on the way; the next campaign goes on from it
#   kept/TARGET    the fewest inputs that reach what the corpora of fuzz/corpus do not: candidates for them
#   log/TARGET     what libFuzzer said
#   artifacts/     inputs that break a property, or take too long: `cargo run -p fuzz -- TARGET FILE` says which
#   report.md      a row for each target; each run adds its own
# Exit 1 if anything was found, or a target did not come to its end. A target that finds something ends with it: fix it, run it again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=600 out=target/campaign
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2 && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    -*) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    *) break ;;
  esac
done
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$out"/{corpus,kept,log,artifacts}
out=$(cd "$out" && pwd)
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || mapfile -t wanted < <(basename -s .rs fuzz/fuzz_targets/*.rs)
for name in "${wanted[@]}"; do
  [ -e "fuzz/fuzz_targets/$name.rs" ] || { echo "no target $name" >&2 && exit 2; }
done

build() { # NAME: into a folder of its own, as the flags are. The codec's targets do without the engines.
  local features
  features=$(sed -n "/^name = \"$1\"/,/^required/s/^required-features = \[\(.*\)\]/\1/p" fuzz/Cargo.toml | tr -d '" ')
  RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$out/build RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cdebug-assertions \
    -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares" \
    cargo build --quiet --release --locked --target "$host" -p fuzz --no-default-features --features "$features" --bin "$1"
  cp "$out/build/$host/release/$1" "$out/build/$1"
}

spent() { # PID: its seconds of processor time, user and system
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  set -- ${stat##*) } # from the third field on: no name with spaces
  echo $(((${12} + ${13}) / $(getconf CLK_TCK)))
}

found=0
campaign() { # NAME
  local name=$1 log=$out/log/$1 pid used=0 now artifacts dictionary line
  local executions edges features instrumented size commit
  commit=$(git rev-parse --short HEAD)
  build "$name"
  dictionary=$(sed -n "/name: \"$name\"/,/properties/s/.*dictionary: Some(\"\(.*\)\").*/\1/p" fuzz/src/*.rs)
  mkdir -p "$out/corpus/$name" "$out/artifacts/$name"
  rm -rf "${out:?}/kept/$name" && mkdir -p "$out/kept/$name"
  artifacts=$(ls "$out/artifacts/$name" | wc -l)
  "$out/build/$name" "$out/corpus/$name" "fuzz/corpus/$name" ${dictionary:+-dict=fuzz/dict/$dictionary.dict} -max_len=16384 \
    -rss_limit_mb=2048 -timeout=300 -report_slow_units=300 -print_final_stats=1 -artifact_prefix="$out/artifacts/$name/" >"$log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null' EXIT
  while now=$(spent $pid) && [ -n "$now" ]; do
    used=$now
    [ "$used" -lt "$seconds" ] || kill -USR1 $pid 2>/dev/null || true # it ends with its statistics
    sleep 2
  done
  wait $pid || true
  trap - EXIT
  artifacts=$(($(ls "$out/artifacts/$name" | wc -l) - artifacts))
  [ $artifacts = 0 ] || found=1
  line=$(grep -E '^#[0-9]+' "$log" | tail -1 || true)
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  [ -n "$executions" ] || { echo "$name: ended without its statistics: $log" >&2 && found=1; }
  instrumented=$(sed -n 's/.*Loaded 1 modules .*(\([0-9]*\) inline.*/\1/p' "$log")
  edges=$(grep -oE 'cov: [0-9]+' <<<"$line" | cut -d' ' -f2 || true)
  features=$(grep -oE 'ft: [0-9]+' <<<"$line" | cut -d' ' -f2 || true)
  size=$(grep -oE 'corp: [0-9]+' <<<"$line" | cut -d' ' -f2 || true)
  "$out/build/$name" -set_cover_merge=1 "$out/kept/$name" "fuzz/corpus/$name" "$out/corpus/$name" \
    -rss_limit_mb=2048 -timeout=300 >"$log.merge" 2>&1 || echo "$name: not merged: $log.merge" >&2
  # What the seeds have already is no candidate.
  (cd "$out/kept/$name" && for kept in *; do
    for seed in "$OLDPWD/fuzz/corpus/$name"/*; do cmp -s "$kept" "$seed" && rm "$kept" && break; done
  done) || true
  echo "| \`$name\` | $(date -u +%F) | $commit | $used | ${executions:-?} | ${edges:-?} of ${instrumented:-?} |" \
    "${features:-?} | ${size:-?} | $artifacts |" | tee -a "$out/report.md"
}

main() { # read as a whole before it begins: the script may change meanwhile
[ -e "$out/report.md" ] || printf '%s\n' \
  '| target | date | commit | processor s | executions | edges | features | corpus | findings |' \
  '|---|---|---|---|---|---|---|---|---|' >"$out/report.md"
for name in "${wanted[@]}"; do campaign "$name"; done
exit $found
}
main
