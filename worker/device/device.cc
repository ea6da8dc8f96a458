#include "worker/device/device.h"

#include <ATen/ATen.h>
#include <dlfcn.h>

#include <exception>
#include <filesystem>
#include <utility>

#include "worker/device/plugin.h"

namespace elephas {

namespace {

namespace fs = std::filesystem;

constexpr char kDriver[] = "libcuda.so.1";
constexpr char kTorchCuda[] = "libtorch_cuda.so";

// The driver's own functions, of which three are needed here.
class Driver {
 public:
  static Result<Driver> Open() {
    Driver driver;
    driver.library_ = dlopen(kDriver, RTLD_NOW | RTLD_LOCAL);
    if (driver.library_ == nullptr) return Unavailable("no NVIDIA driver: " + LoaderError());
    return driver;
  }

  // The first GPU's name.
  [[nodiscard]] Result<std::string> FirstGpu() const {
    ELEPHAS_RETURN_IF_ERROR(Call("cuInit", 0U));
    int count = 0;
    ELEPHAS_RETURN_IF_ERROR(Call("cuDeviceGetCount", &count));
    if (count == 0) return Unavailable("the NVIDIA driver sees no GPU");
    std::string name(256, '\0');
    ELEPHAS_RETURN_IF_ERROR(Call("cuDeviceGetName", name.data(), static_cast<int>(name.size()), 0));
    return name.substr(0, name.find('\0'));
  }

 private:
  template <typename... Arguments>
  Status Call(const char* name, Arguments... arguments) const {
    using Function = int (*)(Arguments...);
    const auto function = reinterpret_cast<Function>(dlsym(library_, name));
    if (function == nullptr) return Unavailable("the NVIDIA driver has no " + std::string(name));
    const int error = function(arguments...);
    if (error == 0) return OkStatus();
    constexpr int kNoDevice = 100;
    if (error == kNoDevice) return Unavailable("the NVIDIA driver sees no GPU");
    return Unavailable("the NVIDIA driver does not work: " + std::string(name) + " gives error " +
                       std::to_string(error));
  }

  void* library_ = nullptr;  // open for good
};

// Beside LibTorch's CPU library, or wherever the loader looks.
Status OpenTorchCuda() {
  Dl_info info{};
  std::string beside = kTorchCuda;
  if (dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) != 0 &&
      info.dli_fname != nullptr) {
    const fs::path path = fs::path(info.dli_fname).parent_path() / kTorchCuda;
    std::error_code error;
    if (fs::exists(path, error)) beside = path.string();
  }
  if (dlopen(beside.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) return OkStatus();
  return Unavailable("LibTorch's CUDA library cannot be opened: " + LoaderError());
}

// A sum on the device: the driver, the runtime and the kernels fit together.
Status Try() {
  try {
    const at::Tensor ones = at::ones({8}, at::TensorOptions().device(at::kCUDA));
    if (ones.sum().item<float>() == 8.0F) return OkStatus();
    return Unavailable("the GPU computes a wrong sum");
  } catch (const c10::Error& error) {
    return Unavailable(std::string("the GPU cannot be used: ") + error.what_without_backtrace());
  } catch (const std::exception& error) {
    return Unavailable(std::string("the GPU cannot be used: ") + error.what());
  }
}

Result<std::string> OpenCuda() {
  ELEPHAS_ASSIGN_OR_RETURN(const Driver driver, Driver::Open());
  ELEPHAS_ASSIGN_OR_RETURN(std::string name, driver.FirstGpu());
  ELEPHAS_RETURN_IF_ERROR(OpenTorchCuda());
  ELEPHAS_RETURN_IF_ERROR(Try());
  return name;
}

}  // namespace

Result<WorkerDevice> OpenDevice(Device wanted) {
  WorkerDevice opened;
  opened.name = "cpu";
  if (wanted == Device::kCpu) return opened;
  Result<std::string> name = OpenCuda();
  if (name.ok()) {
    opened.device = c10::Device(c10::kCUDA, 0);
    opened.name = *std::move(name);
    return opened;
  }
  if (wanted == Device::kCuda) {
    return Invalid("spec.workers.device is cuda, but " + name.status().message());
  }
  opened.why_cpu = name.status().message();
  return opened;
}

void UsePrecision(Precision precision) {
  const bool tf32 = precision != Precision::kFloat32;
  at::globalContext().setFloat32MatmulPrecision(tf32 ? "high" : "highest");
  at::globalContext().setAllowTF32CuDNN(tf32);
}

}  // namespace elephas
