// An NVIDIA driver (libcuda.so.1) for tests of what a worker says when it is broken. What its
// functions give is in the environment: ELEPHAS_FAKE_CUDA_INIT (an error number) and
// ELEPHAS_FAKE_CUDA_DEVICES.
#include <cstdio>
#include <cstdlib>

namespace {

int Number(const char* variable, int fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : static_cast<int>(std::strtol(text, nullptr, 10));
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return Number("ELEPHAS_FAKE_CUDA_INIT", 0); }

int cuDeviceGetCount(int* count) {
  *count = Number("ELEPHAS_FAKE_CUDA_DEVICES", 1);
  return 0;
}

int cuDeviceGetName(char* name, int size, int) {
  (void)std::snprintf(name, static_cast<std::size_t>(size), "a fake GPU");
  return 0;
}
}
