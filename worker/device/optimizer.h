// Keras' optimizers as operations on flat tensors, for parameters that lie on a GPU. The same
// formulas as common/optimizer/optimizer.h, which stays the one that counts for CPU and server; the two are
// held against each other by a test on the CPU.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/optimizer/optimizer.h"

namespace elephas {

// Nothing here waits for the device. Not thread-safe. The optimizer must outlive it.
class DeviceOptimizer {
 public:
  // kInvalid for a class that has no rule here (there is none today).
  static Result<DeviceOptimizer> For(const Optimizer& optimizer, std::vector<WeightSlice> weights);

  // One step, `iteration` from 0, on float32 vectors of one device: trainable parameters, their
  // gradients (scratch) and the slots in the optimizer's order.
  void Step(std::int64_t iteration, at::Tensor parameters, at::Tensor gradients,
            const std::vector<at::Tensor>& slots) const;

  // One rule: what an optimizer's class does after clipping and decay.
  using Rule = std::function<void(std::int64_t iteration, double rate, at::Tensor& p,
                                  const at::Tensor& g, const std::vector<at::Tensor>& slots)>;

 private:
  explicit DeviceOptimizer(const Optimizer& optimizer) : optimizer_(&optimizer) {}
  void Clip(at::Tensor& gradients) const;

  const Optimizer* optimizer_;  // never null
  std::vector<WeightSlice> weights_;
  Rule rule_;
  double weight_decay_ = 0, clip_norm_ = 0, clip_global_norm_ = 0, clip_value_ = 0;  // 0: none
  bool average_ = false;
  double average_momentum_ = 0;
  std::int64_t overwrite_every_ = 0;  // 0: never
  std::int64_t accumulate_ = 1;
};

}  // namespace elephas
