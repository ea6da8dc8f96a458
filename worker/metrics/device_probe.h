// Memory and utilisation of this machine's CUDA devices, by NVIDIA's management library. That
// library comes with the driver: it is opened when it is there, and without it there are no
// devices.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace elephas {

class DeviceProbe {
 public:
  struct Device {
    std::string name;  // "0", the library's number: in a pod only its own devices are there
    std::uint64_t memory_used = 0, memory = 0;  // bytes
    std::optional<double> utilization;          // 0 to 1; some devices do not tell
  };

  // `library`: a file for dlopen(). No library, or one that refuses, means no devices.
  explicit DeviceProbe(const char* library = "libnvidia-ml.so.1");
  ~DeviceProbe();
  DeviceProbe(const DeviceProbe&) = delete;
  DeviceProbe& operator=(const DeviceProbe&) = delete;

  // Devices that do not answer are left out. Thread-safe.
  [[nodiscard]] std::vector<Device> Read() const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;  // null: none
};

}  // namespace elephas
