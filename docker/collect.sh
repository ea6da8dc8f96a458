#!/usr/bin/env bash
# docker/collect.sh FOLDER PROGRAM...: makes FOLDER the root of an image that holds the programs, stripped, in
# /usr/bin, the libraries that they load, and the few files that the C library and TLS look for. Everything is in
# the places where the loader looks by itself, so the image needs no environment. CUDA_LIBRARIES names a folder of
# libraries to add as they are; what a program opens for a GPU (libelephas_*.so beside it) is then added, too.
set -euo pipefail

root="$1"
shift
libraries="$root/usr/lib/x86_64-linux-gnu"
rm -rf "$root"
mkdir -p "$root/usr/bin" "$libraries" "$root/lib64" "$root/etc/ssl/certs" "$root/tmp" "$root/data"
chmod 1777 "$root/tmp"
# The loader looks in /lib too; on Debian it is a link since long.
ln -s usr/lib "$root/lib"

copy_libraries() {  # of one program, by ldd
  local name path
  while read -r name path; do
    if [[ "$path" == not ]]; then
      echo "collect: $1 needs $name, which is not on this machine" >&2
      exit 1
    fi
    [[ -e "$libraries/$name" ]] || install -m 755 "$(realpath "$path")" "$libraries/$name"
  done < <(ldd "$1" | awk '$2 == "=>" {print $1, $3}')
}

for program in "$@"; do
  install -m 755 "$program" "$root/usr/bin/"
  strip "$root/usr/bin/$(basename "$program")"
  copy_libraries "$program"
done
install -m 755 "$(realpath /lib64/ld-linux-x86-64.so.2)" "$root/lib64/ld-linux-x86-64.so.2"
# Debian's own are stripped; LibTorch's are not.
find "$libraries" -type f -exec strip --strip-unneeded {} +

if [[ -n "${CUDA_LIBRARIES:-}" ]]; then
  cp -n "$CUDA_LIBRARIES"/* "$libraries/"
  chmod 755 "$libraries"/*
  for program in "$@"; do
    for plugin in "$(dirname "$program")"/libelephas_*.so; do
      install -m 755 "$plugin" "$root/usr/bin/"
      strip --strip-unneeded "$root/usr/bin/$(basename "$plugin")"
    done
  done
fi

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'elephas:x:65532:65532:elephas:/data:/sbin/nologin' >"$root/etc/passwd"
echo 'elephas:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
# Files of a build on any machine at any time are the same files.
find "$root" -exec touch -h -d @0 {} +
