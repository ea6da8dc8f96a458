// Pools over windows.
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <limits>

#include "worker/keras/config/layout.h"
#include "worker/keras/functions/window.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

Window ReadPool(ConfigReader& c, std::size_t rank) {
  Window window;
  window.size = c.Ints("pool_size", rank, 2, 1, kMaxWindow);
  window.strides =
      c.Has("strides") ? c.Ints("strides", rank, std::nullopt, 1, kMaxWindow) : window.size;
  window.dilation.assign(rank, 1);
  window.padding = ReadPadding(c, false);
  window.channels_last = ReadChannelsLast(c);
  return window;
}

// LibTorch limits symmetric padding to half the window; Keras' "same" never needs more.
Tensor MaxPool(const Tensor& x, const Window& window, const Shape& padding) {
  switch (window.rank()) {
    case 1:
      return at::max_pool2d(x.unsqueeze(2), {1, window.size[0]}, {1, window.strides[0]},
                            {0, padding[0]})
          .squeeze(2);
    case 2:
      return at::max_pool2d(x, window.size, window.strides, padding);
    default:
      return at::max_pool3d(x, window.size, window.strides, padding);
  }
}

// Averages over each window; what lies outside the input does not count.
Tensor AveragePool(const Tensor& x, const Window& window, const Shape& padding) {
  switch (window.rank()) {
    case 1:
      return at::avg_pool2d(x.unsqueeze(2), {1, window.size[0]}, {1, window.strides[0]},
                            {0, padding[0]}, false, /*count_include_pad=*/false)
          .squeeze(2);
    case 2:
      return at::avg_pool2d(x, window.size, window.strides, padding, false, false);
    default:
      return at::avg_pool3d(x, window.size, window.strides, padding, false, false);
  }
}

template <std::size_t rank, bool is_max>
class Pool final : public UnaryLayer {
 public:
  explicit Pool(ConfigReader& c) : window_(ReadPool(c, rank)) {}

  Result<Shape> OutputShape(const Shape& input) const override {
    return window_.OutputShape(input, kUnknown);
  }

  Tensor Compute(const Tensor& x, Step&) override {
    Shape padding;
    const Tensor first = ToChannelsFirst(x, window_.channels_last);
    const Tensor padded = Pad(first, padding);
    Tensor y;
    if constexpr (is_max) {
      y = MaxPool(padded, window_, padding);
    } else {
      y = AveragePool(padded, window_, padding);
      // Explicit zeros were averaged in: divide by the share of the window inside the input.
      if (padded.sizes() != first.sizes()) y = y / ShareInside(first);
    }
    return FromChannelsFirst(y, window_.channels_last);
  }

 private:
  // What LibTorch is not to pad by itself is padded here.
  [[nodiscard]] Tensor Pad(const Tensor& x, Shape& padding) const {
    const double filler = is_max ? -std::numeric_limits<double>::infinity() : 0.0;
    const Tensor padded = PadForWindow(x, window_, filler, padding);
    const bool pads = std::ranges::any_of(padding, [](std::int64_t pad) { return pad != 0; });
    if (is_max || !x.is_cuda() || !pads) return padded;
    // On GPUs the gradients of averages over windows that LibTorch pads are wrong (seen with 2.11).
    Shape both;  // last axis first, before and after
    for (std::size_t i = rank; i-- > 0;) both.insert(both.end(), 2, padding[i]);
    padding.assign(rank, 0);
    return at::constant_pad_nd(padded, both, filler);
  }

  // [1, 1, outputs…]
  [[nodiscard]] Tensor ShareInside(const Tensor& input) const {
    const c10::NoGradGuard no_grad;
    Shape sizes = input.sizes().vec();
    sizes[0] = sizes[1] = 1;
    Shape padding;
    const Tensor ones = Pad(at::ones(sizes, input.options()), padding);
    return AveragePool(ones, window_, padding);
  }

  Window window_;
};

constexpr std::array<LayerEntry, 6> kPoolingLayers{{
    {"MaxPooling1D", MakeLayer<Pool<1, true>>},
    {"MaxPooling2D", MakeLayer<Pool<2, true>>},
    {"MaxPooling3D", MakeLayer<Pool<3, true>>},
    {"AveragePooling1D", MakeLayer<Pool<1, false>>},
    {"AveragePooling2D", MakeLayer<Pool<2, false>>},
    {"AveragePooling3D", MakeLayer<Pool<3, false>>},
}};

}  // namespace

std::span<const LayerEntry> PoolingLayers() { return kPoolingLayers; }

}  // namespace elephas::keras
