#!/usr/bin/env bash
# scripts/images.sh [NAME...]: builds the images operator, paramserver and worker (default: those whose program is
# built) into build/images/NAME.tar, without a registry and without Docker. Needs root.
#
#   PROGRAMS=host    (default) the images take the programs of build/bin, or of ELEPHAS_BIN_DIR
#   PROGRAMS=build   the images compile them, as `docker build` does; the base image is made by debootstrap
#   DEVICE=cuda      the worker's image gets CUDA and NCCL (several GB), and is tagged VERSION-cuda in worker-cuda.tar
#   IMAGE_REGISTRY   what the images' names start with; otherwise they are those that the chart asks for by itself
#
# An image is built again only when something in it has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

images="$PWD/build/images"
bin="${ELEPHAS_BIN_DIR:-build/bin}"
programs="${PROGRAMS:-host}"
device="${DEVICE:-cpu}"
registry="${IMAGE_REGISTRY:-docker.io/library}"
version="$(sed -n 's/^project(elephas VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)"

die() {
  echo "images: $*" >&2
  exit 1
}

if [[ "${1:-}" != --inside ]]; then
  ((EUID == 0)) || die "building images needs root"
  command -v buildah >/dev/null || die "buildah is not installed: run \`make setup-cluster\`"
  mkdir -p "$images"
  exec 8>"$images/lock"
  flock 8
  # What buildah mounts goes away with the namespace, whatever happens to buildah.
  exec unshare --mount --propagation private -- "$0" --inside "$@"
fi
shift

export BUILDAH_ISOLATION=chroot
storage="$images/storage"
buildah=(buildah --root "$storage/root" --runroot "$storage/run" --storage-driver overlay)

make_base() {
  local base=docker.io/library/debian:bookworm-slim site container
  if "${buildah[@]}" images "$base" >/dev/null 2>&1; then
    return
  fi
  # The mirror that this machine's apt uses.
  # shellcheck disable=SC2016  # apt's own word
  site="$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)"
  [[ -n "$site" ]] || die "apt knows no mirror of Debian 12, which the base image comes from"
  rm -rf "$storage/base"
  debootstrap --variant=minbase bookworm "$storage/base" "$site" >"$images/debootstrap.log" 2>&1 ||
    die "debootstrap failed, see $images/debootstrap.log"
  container="$("${buildah[@]}" from scratch)"
  "${buildah[@]}" add --quiet "$container" "$storage/base" / >/dev/null
  "${buildah[@]}" commit --quiet --rm "$container" "$base" >/dev/null
  rm -rf "$storage/base"
}

build_image() {
  local name="$1" archive="$1" tag="$registry/elephas-$1:$version" root="$images/root/$1" key
  local programs_inside=("$bin/elephas-$1")
  if [[ "$name" == worker && "$device" == cuda ]]; then
    archive+=-cuda
    tag+=-cuda
  fi
  if [[ "$programs" == host ]]; then
    [[ -x "$bin/elephas-$name" ]] || die "$bin/elephas-$name is not there: run \`make build\`"
    if [[ "$archive" == worker-cuda ]]; then
      programs_inside+=("$bin"/libelephas_*.so)
    fi
    key="$(sha256sum "${programs_inside[@]}" "docker/$name.Dockerfile" docker/*.sh deps/versions.env; echo "$tag")"
  else
    key="built inside, so always anew: $(date +%s%N)"
  fi
  if [[ -e "$images/$archive.tar" && "$(cat "$images/$archive.stamp" 2>/dev/null)" == "$key" ]]; then
    return
  fi
  if [[ "$archive" == worker-cuda && "$programs" == host ]]; then
    ELEPHAS_CUDA=1 scripts/setup.sh
    docker/cuda_libraries.sh "$images/root/cuda"
    CUDA_LIBRARIES="$images/root/cuda" docker/collect.sh "$root" "$bin/elephas-$name"
    rm -rf "$images/root/cuda"
  elif [[ "$programs" == host ]]; then
    docker/collect.sh "$root" "$bin/elephas-$name"
  else
    make_base
  fi
  "${buildah[@]}" bud --quiet --format oci --build-arg "PROGRAMS=$programs" --build-arg "DEVICE=$device" \
    --tag "$tag" --file "docker/$name.Dockerfile" . >"$images/$name.log" 2>&1 || {
    tail -n 20 "$images/$name.log" >&2
    die "docker/$name.Dockerfile could not be built"
  }
  rm -f "$images/$archive.stamp" "$images/$archive.tar"
  "${buildah[@]}" push --quiet --compression-format gzip --compression-level 1 "$tag" "oci-archive:$images/$archive.tar:$tag"
  # The next one starts from nothing anyway.
  "${buildah[@]}" rm --all >/dev/null
  [[ "$programs" == build ]] || "${buildah[@]}" rmi --all --force >/dev/null
  rm -rf "$root"
  echo "$key" >"$images/$archive.stamp"
  printf 'images: %s is in build/images/%s.tar (%d MB)\n' "$tag" "$archive" "$(($(stat -c %s "$images/$archive.tar") / 1000000))"
}

names=("$@")
if ((${#names[@]} == 0)); then
  for name in operator paramserver worker; do
    if [[ "$programs" == build || -x "$bin/elephas-$name" ]]; then
      names+=("$name")
    fi
  done
fi
for name in "${names[@]}"; do
  build_image "$name"
done
