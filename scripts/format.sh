#!/usr/bin/env bash
# scripts/format.sh [--check]: reformats the C++ sources that git knows, or only says which need it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deps/versions.env
source deps/versions.env

how=(-i)
if [[ "${1:-}" == --check ]]; then
  how=(--dry-run --Werror)
fi
# Deleted files are still in the index until they are committed.
git ls-files -z --deduplicate --cached --others --exclude-standard -- '*.cc' '*.h' |
  while IFS= read -r -d '' file; do [[ ! -e "$file" ]] || printf '%s\0' "$file"; done |
  xargs -0 --no-run-if-empty "clang-format-$LLVM_VERSION" "${how[@]}"
