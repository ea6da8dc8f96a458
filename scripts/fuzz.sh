#!/usr/bin/env bash
# scripts/fuzz.sh SECONDS [FUZZER...]: runs the built fuzzers one after another. Seeds come from
# fuzz/corpus/FUZZER; what a run discovers stays in build-fuzz/corpus/FUZZER and serves the next one. An
# input that breaks something is left in build-fuzz/findings/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds="$1"
shift
fuzzers=("$@")
if ((${#fuzzers[@]} == 0)); then
  mapfile -t fuzzers < <(find build-fuzz/fuzzers -maxdepth 1 -type f -perm -u+x -printf '%f\n' | sort)
fi
((${#fuzzers[@]})) || {
  echo "no fuzzer in build-fuzz/fuzzers" >&2
  exit 1
}

mkdir -p build-fuzz/findings
failed=()
for fuzzer in "${fuzzers[@]}"; do
  corpus="build-fuzz/corpus/$fuzzer"
  mkdir -p "$corpus"
  seeds=()
  if [[ -d "fuzz/corpus/$fuzzer" ]]; then
    seeds=("fuzz/corpus/$fuzzer")
  fi
  echo "fuzz: $fuzzer for $seconds s"
  log="build-fuzz/findings/$fuzzer.log"
  if "build-fuzz/fuzzers/$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build-fuzz/findings/$fuzzer-" -print_final_stats=1 \
    "$corpus" "${seeds[@]}" >"$log" 2>&1; then
    grep -E 'number_of_executed_units' "$log" || true
  else
    tail -n 40 "$log"
    failed+=("$fuzzer")
  fi
done
if ((${#failed[@]})); then
  echo "fuzz: FAILED: ${failed[*]}; see build-fuzz/findings/" >&2
  exit 1
fi
echo "fuzz: ${#fuzzers[@]} fuzzers, no findings"
