// Where a worker computes. CUDA is not part of the program: LibTorch's CUDA library is opened when
// there is a driver and a GPU, and registers its kernels then.
#pragma once

#include <c10/core/Device.h>

#include <string>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"

namespace elephas {

struct WorkerDevice {
  c10::Device device{c10::kCPU};
  std::string name;     // "NVIDIA H100 80GB HBM3"; "cpu"
  std::string why_cpu;  // auto only: what is missing for a GPU
};

// Opens what `wanted` needs; call it once, before anything else of LibTorch. auto: a GPU where
// everything that it needs is there and works, else the CPU, with the reason. cuda: kInvalid says
// what is missing.
Result<WorkerDevice> OpenDevice(Device wanted);

// Lets matrix products and convolutions round float32 to TF32 or not, for the whole process.
void UsePrecision(Precision precision);

}  // namespace elephas
