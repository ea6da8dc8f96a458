#!/usr/bin/env bash
# What `make check` runs; changes nothing. CHECK_SINCE=REVISION limits clang-tidy to what changed since.
# shellcheck disable=SC2317  # the functions are called by way of step
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

status=0
step() {
  local name="$1"
  shift
  if "$@"; then
    echo "check: $name: good"
  else
    echo "check: $name: FAILED" >&2
    status=1
  fi
}

python_syntax() {
  git ls-files -z -- '*.py' | xargs -0 --no-run-if-empty python3 -c '
import sys
for name in sys.argv[1:]:
    with open(name, "rb") as source:
        compile(source.read(), name, "exec")'
}

shell_scripts() {
  git ls-files -z -- '*.sh' .ci/run | xargs -0 --no-run-if-empty shellcheck --external-sources
}

whitespace() {  # against the empty tree: all that is tracked, data aside
  local empty
  empty="$(git hash-object -t tree /dev/null)"
  git diff --check "$empty" HEAD -- . ':!LICENSE' ':!*.csv' ':!fuzz/corpus' ':!tests/verdicts/*.yaml'
}

clang_tidy() {
  # Anew each time: nothing is built here, so nothing else notices new files.
  cmake --preset tidy >/dev/null || return
  scripts/tidy.py build-tidy ${CHECK_SINCE:+--since "$CHECK_SINCE"}
}

step "format" scripts/format.sh --check
step "Python syntax" python_syntax
step "shell scripts" shell_scripts
step "whitespace" whitespace
step "structure" scripts/structure.py
step "clang-tidy" clang_tidy
exit "$status"
