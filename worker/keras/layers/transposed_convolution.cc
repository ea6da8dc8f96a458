// Conv1DTranspose to Conv3DTranspose.
#include <algorithm>
#include <array>

#include "worker/keras/config/layout.h"
#include "worker/keras/functions/activation.h"
#include "worker/keras/functions/window.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

constexpr std::int64_t kMaxFilters = std::int64_t{1} << 24;

// The whole transposed convolution of n inputs has (n - 1) * stride + extent outputs; Keras cuts
// some off at both ends, or, with a large output padding, adds zeros behind.
struct Crop {
  std::int64_t before = 0, after = 0;  // negative: zeros are added
};

Crop CropFor(std::int64_t extent, std::int64_t stride, bool same,
             std::optional<std::int64_t> output_padding) {
  std::int64_t left = extent - 1;
  std::int64_t right = extent - 1 + output_padding.value_or(std::max(extent, stride) - extent);
  if (same) {
    const std::int64_t total =
        output_padding ? extent + extent % 2 - 2 + *output_padding : stride + extent - 2;
    left = std::min(total / 2 + total % 2, extent - 1);
    right = total - left;
  }
  return {extent - 1 - left, extent - 1 - right};
}

template <std::size_t rank>
class TransposedConvolution final : public UnaryLayer {
 public:
  explicit TransposedConvolution(ConfigReader& c)
      : filters_(c.Int("filters", std::nullopt, 1, kMaxFilters)),
        activation_(ReadActivation(c, "activation", nullptr)),
        use_bias_(c.Bool("use_bias", true)) {
    window_.size = c.Ints("kernel_size", rank, std::nullopt, 1, kMaxWindow);
    window_.strides = c.Ints("strides", rank, 1, 1, kMaxWindow);
    window_.dilation = c.Ints("dilation_rate", rank, 1, 1, kMaxWindow);
    window_.padding = ReadPadding(c, false);
    window_.channels_last = ReadChannelsLast(c);
    if (c.Has("output_padding")) {
      output_padding_ = c.Ints("output_padding", rank, std::nullopt, 0, kMaxWindow);
    }
    kernel_options_ = {ReadInitializer(c, "kernel_initializer", "glorot_uniform"), true,
                       ReadRegularizer(c, "kernel_regularizer"),
                       ReadConstraint(c, "kernel_constraint")};
    bias_options_ = {ReadInitializer(c, "bias_initializer", "zeros"), true,
                     ReadRegularizer(c, "bias_regularizer"), ReadConstraint(c, "bias_constraint")};
    c.Require("groups", 1);
  }

  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    if (input.size() != rank + 2) {
      return Invalid("needs an input of rank " + std::to_string(rank + 2) + ", not " +
                     ToString(input));
    }
    channels_ = input[ChannelAxis(input.size(), window_.channels_last)];
    if (channels_ == kUnknown) return Invalid("the channel axis of its input must be known");
    Shape shape = window_.size;
    shape.push_back(filters_);
    shape.push_back(channels_);
    ELEPHAS_ASSIGN_OR_RETURN(kernel_, weights.Add("kernel", shape, kernel_options_));
    if (use_bias_) {
      ELEPHAS_ASSIGN_OR_RETURN(bias_, weights.Add("bias", {filters_}, bias_options_));
    }
    return OkStatus();
  }

  Result<Shape> OutputShape(const Shape& input) const override {
    if (input.size() != rank + 2 ||
        input[ChannelAxis(input.size(), window_.channels_last)] != channels_) {
      return Invalid("was built for " + std::to_string(channels_) +
                     " channels, its input has shape " + ToString(input));
    }
    Shape output = input;
    for (std::size_t i = 0; i < rank; ++i) {
      std::int64_t& length = output[SpatialAxis(window_.channels_last) + i];
      if (length == kUnknown) continue;
      const Crop crop = CropAt(i);
      length = (length - 1) * window_.strides[i] + window_.Extent(i) - crop.before - crop.after;
      if (length <= 0) return Invalid("has an empty output");
    }
    output[ChannelAxis(output.size(), window_.channels_last)] = filters_;
    return output;
  }

  Tensor Compute(const Tensor& x, Step&) override {
    Shape zeros(rank, 0);
    Tensor y = at::convolution(ToChannelsFirst(x, window_.channels_last),
                               ConvolutionKernel(kernel_->tensor), Tensor(), window_.strides, zeros,
                               window_.dilation, /*transposed=*/true, zeros, 1);
    std::vector<std::int64_t> pads;  // last axis first; negative ones cut
    for (std::size_t i = rank; i-- > 0;) {
      const Crop crop = CropAt(i);
      pads.push_back(-crop.before);
      pads.push_back(-crop.after);
    }
    if (std::any_of(pads.begin(), pads.end(), [](std::int64_t pad) { return pad != 0; })) {
      y = at::constant_pad_nd(y, pads);
    }
    y = FromChannelsFirst(y, window_.channels_last);
    if (bias_ != nullptr) {
      Shape shape(rank + 2, 1);
      shape[ChannelAxis(rank + 2, window_.channels_last)] = filters_;
      y = y + bias_->tensor.view(shape);
    }
    return activation_(y);
  }

 private:
  [[nodiscard]] Crop CropAt(std::size_t axis) const {
    std::optional<std::int64_t> padding;
    if (!output_padding_.empty()) padding = output_padding_[axis];
    return CropFor(window_.Extent(axis), window_.strides[axis], window_.padding == Padding::kSame,
                   padding);
  }

  Window window_;
  Shape output_padding_;  // empty: Keras chooses
  std::int64_t filters_, channels_ = 0;
  Activation activation_;
  bool use_bias_;
  WeightOptions kernel_options_, bias_options_;
  Weight* kernel_ = nullptr;
  Weight* bias_ = nullptr;
};

constexpr std::array<LayerEntry, 3> kTransposedConvolutionLayers{{
    {"Conv1DTranspose", MakeLayer<TransposedConvolution<1>>},
    {"Conv2DTranspose", MakeLayer<TransposedConvolution<2>>},
    {"Conv3DTranspose", MakeLayer<TransposedConvolution<3>>},
}};

}  // namespace

std::span<const LayerEntry> TransposedConvolutionLayers() { return kTransposedConvolutionLayers; }

}  // namespace elephas::keras
