#!/usr/bin/env bash
# scripts/gpu_package.sh: collects the programs that `make gpu-test` and `make gpu-bench` need into build/gpu,
# stripped, less than 64 MiB: to be carried to a machine with a GPU, where LD_LIBRARY_PATH points to LibTorch's and
# CUDA's libraries (those of an installed torch of the same version do).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

package="build/gpu"
most=$((64 << 20))
rm -rf "$package"
mkdir -p "$package"
for file in build/bin/elephas build/bin/elephas-paramserver build/bin/elephas-worker build/bin/libelephas_cuda.so \
  build/bin/libelephas_nccl.so build/test-bin/libelephas_loopback.so build/test-bin/libelephas_direct_step_graph.so \
  build/test-bin/elephas-keras-probe build/bench-bin/bench-bare-loop build/bench-bin/bench-collective; do
  install -m 755 "$file" "$package/"
  strip --strip-unneeded "$package/$(basename "$file")"
done
# Libraries of Debian that another machine may lack; LibTorch's, CUDA's and the C library stay where they are.
mkdir "$package/lib"
for program in "$package"/elephas* "$package"/bench*; do
  while read -r name path; do
    case "$name" in
      libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | libresolv.so* | libutil.so* | ld-linux* | \
        libtorch* | libc10* | libcu* | libnv* | libnccl* | libgomp*) ;;
      *) [[ -e "$package/lib/$name" ]] || install -m 644 "$(realpath "$path")" "$package/lib/$name" ;;
    esac
  done < <(ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}')
done
# Where the tests were run with ELEPHAS_KEEP_REQUESTS=build/gpu-requests: models for the probe.
if [[ -d build/gpu-requests ]]; then
  cp -r build/gpu-requests "$package/keras"
fi
size="$(du -sb "$package" | cut -f1)"
if ((size > most)); then
  echo "gpu-package: $package has $size bytes, more than $most" >&2
  exit 1
fi
echo "$package: $((size >> 20)) MiB"
