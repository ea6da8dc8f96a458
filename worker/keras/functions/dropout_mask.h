#pragma once

#include <ATen/ATen.h>

#include "worker/keras/config/shape.h"

namespace elephas::keras {

// 1 / (1 - rate) with probability 1 - rate, else 0. Draws one number from LibTorch's default
// generator. `rate` of one or more: zeros.
at::Tensor DropoutMask(const Shape& sizes, const at::TensorOptions& options, double rate);

}  // namespace elephas::keras
