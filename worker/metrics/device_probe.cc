#include "worker/metrics/device_probe.h"

#include <dlfcn.h>

namespace elephas {
namespace {

// Of nvml.h, which is not needed to build: its ABI is fixed by the version suffixes.
struct NvmlDevice;
struct NvmlMemory {
  unsigned long long total, free, used;  // NOLINT(google-runtime-int): the library's own types
};
struct NvmlUtilization {
  unsigned gpu, memory;  // per cent
};
constexpr int kNvmlSuccess = 0;

template <typename Function>
bool Find(void* handle, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(handle, name));
  return function != nullptr;
}

}  // namespace

struct DeviceProbe::Library {
  void* handle = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*device)(unsigned, NvmlDevice**) = nullptr;
  int (*memory)(NvmlDevice*, NvmlMemory*) = nullptr;
  int (*utilization)(NvmlDevice*, NvmlUtilization*) = nullptr;
  bool running = false;

  bool Open(const char* file) {
    handle = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return false;
    int (*init)() = nullptr;
    if (!Find(handle, "nvmlInit_v2", init) || !Find(handle, "nvmlShutdown", shutdown) ||
        !Find(handle, "nvmlDeviceGetCount_v2", count) ||
        !Find(handle, "nvmlDeviceGetHandleByIndex_v2", device) ||
        !Find(handle, "nvmlDeviceGetMemoryInfo", memory) ||
        !Find(handle, "nvmlDeviceGetUtilizationRates", utilization)) {
      return false;
    }
    running = init() == kNvmlSuccess;
    return running;
  }
  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (running) shutdown();
    if (handle != nullptr) ::dlclose(handle);
  }
};

DeviceProbe::DeviceProbe(const char* library) : library_(std::make_unique<Library>()) {
  if (!library_->Open(library)) library_.reset();
}
DeviceProbe::~DeviceProbe() = default;

std::vector<DeviceProbe::Device> DeviceProbe::Read() const {
  std::vector<Device> devices;
  unsigned count = 0;
  if (!library_ || library_->count(&count) != kNvmlSuccess) return devices;
  for (unsigned i = 0; i < count; ++i) {
    NvmlDevice* device = nullptr;
    NvmlMemory memory{};
    if (library_->device(i, &device) != kNvmlSuccess ||
        library_->memory(device, &memory) != kNvmlSuccess) {
      continue;
    }
    NvmlUtilization utilization{};
    Device& entry = devices.emplace_back();
    entry.name = std::to_string(i);
    entry.memory_used = memory.used;
    entry.memory = memory.total;
    if (library_->utilization(device, &utilization) == kNvmlSuccess) {
      entry.utilization = utilization.gpu / 100.0;
    }
  }
  return devices;
}

}  // namespace elephas
