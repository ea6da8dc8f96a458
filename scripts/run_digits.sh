#!/usr/bin/env bash
# What `make run` runs: builds the programs, trains examples/digits with local processes, evaluates the result on
# rows that were held out, and says how good it is and where everything lies.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Of the compilers, from nothing; docs/development.md says how it was measured.
cpu_minutes=9
if [[ ! -x build/bin/elephas-worker ]]; then
  cores="${ELEPHAS_BUILD_JOBS:-$(nproc)}"
  echo "The first time this installs what is missing, compiles for about $(((cpu_minutes + cores - 1) / cores)) min" \
    "($cpu_minutes min of processor time on $cores cores), and then trains for some seconds."
fi
make build

build/bin/elephas run examples/digits/job.yaml
build/bin/elephas run examples/digits/evaluate.yaml

out=examples/digits/out
python3 - "$out/metrics.json" <<'PYTHON'
import json, sys

with open(sys.argv[1]) as source:
    metrics = json.load(source)
print(f"\nTest accuracy on 360 held-out digits: {metrics['accuracy']:.3f} (loss {metrics['loss']:.3f})")
PYTHON
for file in "$out"/*; do
  echo "  $file"
done
