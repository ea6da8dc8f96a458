#!/usr/bin/env bash
# scripts/soak.sh [ARGUMENT...]: tests/soak/soak.py over the programs of build/bin, or of ELEPHAS_BIN_DIR. Where no cluster
# can run, it says why and ends with 0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${ELEPHAS_DEPS_DIR:-$HOME/.cache/elephas}/venv/bin/python"
status=0
PYTHONDONTWRITEBYTECODE=1 "$python" tests/soak/soak.py --bin "${ELEPHAS_BIN_DIR:-build/bin}" "$@" || status=$?
((status == 77)) && exit 0
exit "$status"
