#!/usr/bin/env bash
# What `make release` runs: puts everything that a release consists of into build/release/VERSION, from a clean
# checkout, and publishes nothing. RELEASE.md tells the rest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "release: $*" >&2
  exit 1
}

version="$(sed -nE 's/^project\(elephas VERSION ([0-9.]+) .*/\1/p' CMakeLists.txt)"
[[ -n "$version" ]] || fail "CMakeLists.txt has no version"
[[ -z "$(git status --porcelain)" ]] || fail "the checkout has changes; commit them first"
notes="$(awk -v heading="## [$version]" 'index($0, heading) == 1 { on = 1; next } /^## / { on = 0 } on' CHANGELOG.md)"
[[ -n "${notes//[[:space:]]/}" ]] || fail "CHANGELOG.md tells nothing of $version"
for field in version appVersion; do
  grep -qE "^$field: \"?$version\"?\$" charts/elephas-operator/Chart.yaml || fail "Chart.yaml has another $field"
done
for program in elephas elephas-operator elephas-paramserver elephas-worker; do
  [[ "$("build/bin/$program" --version)" == "$program $version" ]] || fail "build/bin/$program is of another version"
done

out="build/release/$version"
rm -rf "$out"
mkdir -p "$out"
printf '%s\n' "$notes" >"$out/NOTES.md"
# The same bytes from the same commit: owners, order and times do not come from this machine.
pack() { # ARCHIVE FOLDER ENTRY...
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" \
    -C "$2" -cf - "${@:3}" | gzip -n >"$1"
}
pack "$out/elephas-operator-$version.tgz" charts elephas-operator
pack "$out/elephas-cli-$version-linux-$(uname -m).tar.gz" build/bin elephas kubectl-elephas
cp crds/elephasjobs.yaml "$out/"
scripts/images.sh
for image in operator paramserver worker; do
  cp "build/images/$image.tar" "$out/elephas-$image-$version.tar"
done
(cd "$out" && sha256sum -- * >SHA256SUMS)
echo "release: $out has"
(cd "$out" && ls -sh1)
