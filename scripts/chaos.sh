#!/usr/bin/env bash
# scripts/chaos.sh [ARGUMENT...]: tests/chaos/chaos.py over the programs of build/bin, or of ELEPHAS_BIN_DIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${ELEPHAS_DEPS_DIR:-$HOME/.cache/elephas}/venv/bin/python"
PYTHONDONTWRITEBYTECODE=1 exec "$python" tests/chaos/chaos.py --bin "${ELEPHAS_BIN_DIR:-build/bin}" "$@"
