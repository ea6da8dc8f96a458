// A flat float32 tensor as a span of its own memory, which may be a GPU's.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <span>

namespace elephas {

inline std::span<float> FlatSpan(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

}  // namespace elephas
