#!/usr/bin/env bash
# What `make bench` runs once everything is built: the data plane beside iperf3, training beside LibTorch alone,
# training watched by a scraper beside training that is not.
# Takes about three minutes; figures are for this machine and this moment, ratios are what to compare.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python="${ELEPHAS_DEPS_DIR:-$HOME/.cache/elephas}/venv/bin/python"
export OMP_WAIT_POLICY=passive

"$python" bench/dataplane.py build/bin build/bench-bin/bench-dataplane
echo
"$python" bench/training.py build/bin build/bench-bin/bench-bare-loop
echo
"$python" bench/scrape.py build/bin
