// Sliding windows as convolutions and pools share them: sizes, strides, dilations and Keras'
// paddings.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/config_reader.h"
#include "worker/keras/config/shape.h"

namespace elephas::keras {

enum class Padding : std::uint8_t { kValid, kSame, kCausal };

struct Window {
  Shape size, strides, dilation;  // one entry per spatial axis
  Padding padding = Padding::kValid;
  bool channels_last = true;

  [[nodiscard]] std::size_t rank() const { return size.size(); }
  // Rows covered by the window along `axis`, dilation included.
  [[nodiscard]] std::int64_t Extent(std::size_t axis) const {
    return (size[axis] - 1) * dilation[axis] + 1;
  }
  // Input of `length` gives this many outputs along `axis`; kInvalid when the window does not fit.
  [[nodiscard]] Result<std::int64_t> OutputLength(std::size_t axis, std::int64_t length) const;
  // The whole output shape for an input shape with `channels` outputs (kUnknown: as the input).
  [[nodiscard]] Result<Shape> OutputShape(const Shape& input, std::int64_t channels) const;

  struct Pads {
    std::int64_t before = 0, after = 0;
  };
  // Padding along `axis` for an input of `length`.
  [[nodiscard]] Pads PadsFor(std::size_t axis, std::int64_t length) const;
};

// Upper bound of sizes, strides and dilations that a config may ask for.
inline constexpr std::int64_t kMaxWindow = 1 << 20;

Padding ReadPadding(ConfigReader& c, bool causal_allowed);
bool ReadChannelsLast(ConfigReader& c);

// x ([N, C, spatial…]) ready for a kernel that pads symmetrically: what can be left to the kernel
// comes back in `symmetric`, the rest is filled in with `value`.
at::Tensor PadForWindow(const at::Tensor& x, const Window& window, double value, Shape& symmetric);

}  // namespace elephas::keras
