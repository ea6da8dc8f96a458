#!/usr/bin/env bash
# scripts/build.sh PRESET [TARGET...]: configures a preset of CMakePresets.json where that is still to be
# done, and builds it (default target: everything). ELEPHAS_BUILD_JOBS limits the parallel compilers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset="$1"
targets=("${@:2}")
folder="build-$preset"
if [[ "$preset" == release ]]; then
  folder=build
fi

if [[ -z "${ELEPHAS_BUILD_JOBS:-}" ]]; then
  # A compiler that reads LibTorch's headers takes up to 1.5 GiB, so memory limits the jobs too.
  ELEPHAS_BUILD_JOBS="$(awk -v cores="$(nproc)" '/^MemTotal/ {
    fit = int($2 / 1572864); print fit < 1 ? 1 : fit < cores ? fit : cores }' /proc/meminfo)"
fi

if [[ ! -e "$folder/build.ninja" ]]; then
  log="$(mktemp)"
  trap 'rm -f "$log"' EXIT
  cmake --preset "$preset" >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
  }
  grep -A5 '^-- Elephas' "$log"
fi
# On a miss ccache then compiles at once, from the dependencies that the compiler lists, instead of
# preprocessing first: a third less work for files with heavy headers.
export CCACHE_DEPEND="${CCACHE_DEPEND:-1}"
# It keeps precompiled headers only when told that defines and times in them do not matter to us.
export CCACHE_SLOPPINESS="${CCACHE_SLOPPINESS:-pch_defines,time_macros}"
cmake --build "$folder" --parallel "$ELEPHAS_BUILD_JOBS" --target "${targets[@]:-all}"
