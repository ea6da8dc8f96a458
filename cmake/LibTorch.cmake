# An imported target for the LibTorch that scripts/setup.sh unpacked from the torch wheel. The wheel's
# own TorchConfig.cmake wants a whole CUDA toolkit; a CPU program needs three libraries.
set(ELEPHAS_LIBTORCH "${ELEPHAS_DEPS_DIR}/libtorch-${TORCH_VERSION}")
if(NOT EXISTS "${ELEPHAS_LIBTORCH}/torch/lib/libtorch_cpu.so")
  message(FATAL_ERROR "LibTorch ${TORCH_VERSION} is not in ${ELEPHAS_LIBTORCH}: run `make setup` first")
endif()

add_library(elephas_libtorch INTERFACE)
add_library(elephas::libtorch ALIAS elephas_libtorch)
target_include_directories(elephas_libtorch SYSTEM INTERFACE
  "${ELEPHAS_LIBTORCH}/torch/include"
  "${ELEPHAS_LIBTORCH}/torch/include/torch/csrc/api/include")
# --no-as-needed: the kernels register themselves when libtorch_cpu is loaded; nothing names them.
target_link_libraries(elephas_libtorch INTERFACE
  "-Wl,--no-as-needed" "${ELEPHAS_LIBTORCH}/torch/lib/libtorch_cpu.so"
  "${ELEPHAS_LIBTORCH}/torch/lib/libc10.so" "-Wl,--as-needed")
