#!/usr/bin/env bash
# scripts/generate.sh: builds what it needs in build/ and writes anew what is generated out of the sources and kept in
# the repository: the custom resource's definition (crds/ and the chart), and the references of manifest, metrics and
# Keras (docs/). Tests compare each of them with the program; this is how to make them equal again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/build.sh release operator_test common_test metrics_reference_test elephas-keras-probe

export ELEPHAS_UPDATE_DOCS=1
write() {
  local log
  log="$(mktemp)"
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

write build/test-bin/operator_test --gtest_filter='Crd.*'
write build/test-bin/common_test --gtest_filter='ManifestReference.*'
write build/test-bin/metrics_reference_test
build/test-bin/elephas-keras-probe --reference >build/keras.md
mv build/keras.md docs/keras.md
