#!/usr/bin/env bash
# scripts/nightly.sh: the long targets one after another, each to its end whatever became of those before it. Their output is
# in build-nightly/TARGET.log; the last lines say what each took and how it ended. NIGHTLY='chaos fuzz' does only these.
# FUZZ_SECONDS (600) is for each fuzzer. Exit status 1 when one failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

all="chaos soak test-asan test-tsan fuzz bench"
mkdir -p build-nightly
failed=() lines=()
for target in ${NIGHTLY:-$all}; do
  if [[ " $all " != *" $target "* ]]; then
    echo "NIGHTLY names '$target'; there are $all" >&2
    exit 2
  fi
done
for target in ${NIGHTLY:-$all}; do
  log="build-nightly/$target.log"
  echo "nightly: $target, see $log"
  started=$SECONDS
  verdict=ok
  make "$target" FUZZ_SECONDS="${FUZZ_SECONDS:-600}" >"$log" 2>&1 </dev/null || verdict=FAILED
  if [[ "$verdict" == FAILED ]]; then
    failed+=("$target")
    tail -n 20 "$log"
  fi
  # A run that found no cluster has not failed, and has not looked either.
  note="$(grep -hoE -m 1 'soak: skipped: .*|(chaos|soak): seed [0-9]+$' "$log" || true)"
  lines+=("$(printf '%-10s  %-6s  %5d min  %s' "$target" "$verdict" $(((SECONDS - started + 59) / 60)) "$note")")
done
printf 'nightly: %s\n' "${lines[@]}"
((${#failed[@]} == 0)) || exit 1
