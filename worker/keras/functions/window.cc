#include "worker/keras/functions/window.h"

#include <algorithm>

#include "worker/keras/config/layout.h"

namespace elephas::keras {

Result<std::int64_t> Window::OutputLength(std::size_t axis, std::int64_t length) const {
  if (length == kUnknown) return kUnknown;
  if (padding != Padding::kValid) return (length + strides[axis] - 1) / strides[axis];
  if (length < Extent(axis)) {
    return Invalid("a window of " + std::to_string(Extent(axis)) + " does not fit into " +
                   std::to_string(length));
  }
  return (length - Extent(axis)) / strides[axis] + 1;
}

Result<Shape> Window::OutputShape(const Shape& input, std::int64_t channels) const {
  if (input.size() != rank() + 2) {
    return Invalid("needs an input of rank " + std::to_string(rank() + 2) + ", not " +
                   ToString(input));
  }
  Shape output = input;
  for (std::size_t i = 0; i < rank(); ++i) {
    std::int64_t& length = output[SpatialAxis(channels_last) + i];
    ELEPHAS_ASSIGN_OR_RETURN(length, OutputLength(i, length));
  }
  if (channels != kUnknown) output[ChannelAxis(output.size(), channels_last)] = channels;
  return output;
}

Window::Pads Window::PadsFor(std::size_t axis, std::int64_t length) const {
  switch (padding) {
    case Padding::kValid:
      return {};
    case Padding::kCausal:
      return {Extent(axis) - 1, 0};
    case Padding::kSame:
      break;
  }
  const std::int64_t stride = strides[axis];
  const std::int64_t outputs = (length + stride - 1) / stride;
  const std::int64_t total =
      std::max<std::int64_t>((outputs - 1) * stride + Extent(axis) - length, 0);
  return {total / 2, total - total / 2};
}

Padding ReadPadding(ConfigReader& c, bool causal_allowed) {
  const std::string word = c.String("padding", "valid");
  if (word == "valid") return Padding::kValid;
  if (word == "same") return Padding::kSame;
  if (word == "causal" && causal_allowed) return Padding::kCausal;
  c.Fail("'padding' is '" + word + "'; supported: valid, same" +
         (causal_allowed ? ", causal" : ""));
  return Padding::kValid;
}

bool ReadChannelsLast(ConfigReader& c) {
  return c.Choice("data_format", "channels_last", {"channels_last", "channels_first"}) ==
         "channels_last";
}

at::Tensor PadForWindow(const at::Tensor& x, const Window& window, double value, Shape& symmetric) {
  const std::size_t rank = window.rank();
  symmetric.assign(rank, 0);
  std::vector<std::int64_t> explicit_pads(2 * rank, 0);  // last axis first, as LibTorch wants it
  bool any = false;
  for (std::size_t i = 0; i < rank; ++i) {
    const Window::Pads pads = window.PadsFor(i, x.size(static_cast<std::int64_t>(i) + 2));
    if (pads.before == pads.after) {
      symmetric[i] = pads.before;
    } else {
      explicit_pads[2 * (rank - 1 - i)] = pads.before;
      explicit_pads[2 * (rank - 1 - i) + 1] = pads.after;
      any = true;
    }
  }
  return any ? at::constant_pad_nd(x, explicit_pads, value) : x;
}

}  // namespace elephas::keras
