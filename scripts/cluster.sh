#!/usr/bin/env bash
# scripts/cluster.sh up|down|status: a real Kubernetes on this machine, see docs/cluster.md.
set -euo pipefail
repo="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${ELEPHAS_DEPS_DIR:-$HOME/.cache/elephas}/venv/bin/python"
arguments=("$@")
if [[ "${1:-}" == up ]]; then
  for name in operator paramserver worker; do
    image="$repo/build/images/$name.tar"
    [[ -e "$image" ]] && arguments+=(--image "$image")
  done
fi
cd "$repo/tests"
PYTHONDONTWRITEBYTECODE=1 exec "$python" -m cluster "${arguments[@]}"
