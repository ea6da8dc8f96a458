# Imported targets for what the NCCL part needs to build: CUDA's headers for host code and NCCL, as
# scripts/setup.sh unpacked them. No CUDA toolkit and no nvcc.
set(ELEPHAS_NCCL "${ELEPHAS_DEPS_DIR}/nccl-${NCCL_VERSION}")
if(NOT EXISTS "${ELEPHAS_NCCL}/nvidia/nccl/lib/libnccl.so.2")
  message(FATAL_ERROR "NCCL ${NCCL_VERSION} is not in ${ELEPHAS_NCCL}: run `make setup` first")
endif()

# Host code against CUDA's runtime and LibTorch's streams: c10_cuda and cudart are in LibTorch's folder.
add_library(elephas_cuda_host INTERFACE)
add_library(elephas::cuda_host ALIAS elephas_cuda_host)
target_include_directories(elephas_cuda_host SYSTEM INTERFACE
  "${ELEPHAS_LIBTORCH}/torch/include"
  "${ELEPHAS_LIBTORCH}/nvidia/cu13/include"
  "${ELEPHAS_NCCL}/nvidia/cu13/include")
target_link_libraries(elephas_cuda_host INTERFACE
  "${ELEPHAS_LIBTORCH}/torch/lib/libc10_cuda.so" "${ELEPHAS_LIBTORCH}/torch/lib/libc10.so"
  "${ELEPHAS_LIBTORCH}/nvidia/cu13/lib/libcudart.so.13")

add_library(elephas_nccl_library INTERFACE)
add_library(elephas::nccl_library ALIAS elephas_nccl_library)
target_include_directories(elephas_nccl_library SYSTEM INTERFACE "${ELEPHAS_NCCL}/nvidia/nccl/include")
target_link_libraries(elephas_nccl_library INTERFACE "${ELEPHAS_NCCL}/nvidia/nccl/lib/libnccl.so.2")
