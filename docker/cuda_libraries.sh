#!/usr/bin/env bash
# docker/cuda_libraries.sh FOLDER: fills FOLDER with LibTorch's CUDA libraries and all that they load but the
# driver's, which a GPU node's container toolkit adds. `ELEPHAS_CUDA=1 scripts/setup.sh` must have run.
set -euo pipefail

repo="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=deps/versions.env
source "$repo/deps/versions.env"
deps="${ELEPHAS_DEPS_DIR:-$HOME/.cache/elephas}"
libtorch="$deps/libtorch-$TORCH_VERSION/torch/lib"
folder="$1"
if [[ ! -e "$libtorch/libtorch_cuda.so" ]]; then
  echo "cuda_libraries: $libtorch holds no libtorch_cuda.so: run ELEPHAS_CUDA=1 scripts/setup.sh" >&2
  exit 1
fi

rm -rf "$folder" "$folder.wheels"
mkdir -p "$folder"
"$deps/venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --no-cache-dir \
  --target "$folder.wheels" \
  "cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc]==$CUDA_TOOLKIT_VERSION" \
  "nvidia-cudnn-cu13==$CUDNN_VERSION" "nvidia-cusparselt-cu13==$CUSPARSELT_VERSION" \
  "nvidia-nvshmem-cu13==$NVSHMEM_VERSION" "nvidia-nccl-cu13==$NCCL_VERSION"
find "$folder.wheels" -name '*.so*' -type f -exec mv -n -t "$folder" {} +
rm -rf "$folder.wheels"
cp -n "$libtorch"/lib{torch_cuda*,c10_cuda,caffe2_nvrtc,torch_nvshmem}.so "$folder/"

missing="$(LD_LIBRARY_PATH="$folder:$libtorch" ldd "$folder/libtorch_cuda.so" |
  awk '$3 == "not" && $1 != "libcuda.so.1" {print $1}')"
if [[ -n "$missing" ]]; then
  echo "cuda_libraries: libtorch_cuda.so needs ${missing//$'\n'/ } as well" >&2
  exit 1
fi
