// A management library with three devices, for tests: the second does not tell its utilisation, the
// third is lost.
#include <cstdint>

// NOLINTBEGIN(readability-identifier-naming): the names are those of the library
extern "C" {

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 3;
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  static char devices[3];
  *device = &devices[index];
  static_cast<char*>(*device)[0] = static_cast<char>(index);
  return 0;
}

int nvmlDeviceGetMemoryInfo(void* device, std::uint64_t* total_free_used) {
  constexpr int kLost = 15;
  const int index = *static_cast<char*>(device);
  if (index == 2) return kLost;
  total_free_used[0] = 80'000;
  total_free_used[1] = 50'000;
  total_free_used[2] = 30'000 + static_cast<unsigned>(index);
  return 0;
}

int nvmlDeviceGetUtilizationRates(void* device, unsigned* gpu_memory) {
  constexpr int kNotSupported = 3;
  if (*static_cast<char*>(device) == 1) return kNotSupported;
  gpu_memory[0] = 75;
  gpu_memory[1] = 10;
  return 0;
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
