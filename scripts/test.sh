#!/usr/bin/env bash
# scripts/test.sh BUILD_FOLDER... [-- CTEST_ARGUMENT...]: runs the tests of several builds as one ctest run;
# its summary is the last line of output. ELEPHAS_TEST_JOBS (2) tests run at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folders=()
while (($#)) && [[ "$1" != -- ]]; do
  folders+=("$1")
  shift
done
shift || true

all="build-test"
mkdir -p "$all"
for folder in "${folders[@]}"; do
  printf 'subdirs([==[%s]==])\n' "$PWD/$folder"
done >"$all/CTestTestfile.cmake"

status=0
ctest --test-dir "$all" --output-on-failure --no-tests=error \
  --parallel "${ELEPHAS_TEST_JOBS:-2}" "$@" 2>&1 </dev/null | tee "$all/ctest.log" || status=$?
# Why a test was skipped is in its own output, which ctest keeps to itself.
grep -a -hoE -m 1 'end-to-end tests skipped: [^]]+' "$all/Testing/Temporary/LastTest.log" || true
# The cases that failed once more, short: their output above is long, and ctest names a pytest folder only as a whole.
if ((status != 0)); then
  grep -a -ohE '^(FAILED|ERROR) [./]*tests/.{1,300}' "$all/ctest.log" | head -n 20 || true
fi
grep -a -E '^[0-9]+% tests passed' "$all/ctest.log" || true
exit "$status"
