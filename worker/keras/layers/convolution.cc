// Convolutions of every rank and kind.
#include <array>

#include "worker/keras/config/layout.h"
#include "worker/keras/functions/activation.h"
#include "worker/keras/functions/window.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

constexpr std::int64_t kMaxFilters = std::int64_t{1} << 24;

Window ReadWindow(ConfigReader& c, std::size_t rank, bool causal_allowed) {
  Window window;
  window.size = c.Ints("kernel_size", rank, std::nullopt, 1, kMaxWindow);
  window.strides = c.Ints("strides", rank, 1, 1, kMaxWindow);
  window.dilation = c.Ints("dilation_rate", rank, 1, 1, kMaxWindow);
  window.padding = ReadPadding(c, causal_allowed);
  window.channels_last = ReadChannelsLast(c);
  return window;
}

// LibTorch's 1-D kernels know no channels_last format, so a 1-D convolution runs as a 2-D one of
// height 1: [N, L, C] becomes [N, 1, L, C] without a copy.
Tensor AddHeight(const Tensor& x, std::size_t rank) { return rank == 1 ? x.unsqueeze(2) : x; }
Tensor DropHeight(const Tensor& x, std::size_t rank) { return rank == 1 ? x.squeeze(2) : x; }
Shape WithHeight(const Shape& per_axis, std::int64_t height) {
  return per_axis.size() == 1 ? Shape{height, per_axis[0]} : per_axis;
}

// The order in which a convolution gets its data. Kernels take channels-last data as it is, but
// cuDNN's for true float32 are faster the other way round, which is worth a copy where it begins:
// what follows stays in the order that the convolution gave it.
at::MemoryFormat FormatFor(const Tensor& x, const Window& window) {
  const bool plain_float = x.is_cuda() && !at::globalContext().allowTF32CuDNN();
  return window.channels_last && !plain_float ? at::MemoryFormat::ChannelsLast
                                              : at::MemoryFormat::Contiguous;
}

// relu overwrites the convolution's output, which nobody else holds: it moves half the memory.
Tensor Activated(Tensor y, const Activation& activation, const Window& window) {
  if (activation.name == "relu") return FromChannelsFirst(at::relu_(y), window.channels_last);
  return activation(FromChannelsFirst(y, window.channels_last));
}

// [N, C, spatial…] x [out, in / groups, spatial…]; one place calls LibTorch's convolution.
Tensor Convolve(const Tensor& x, const Tensor& kernel, const Tensor& bias, const Window& window,
                const Shape& strides, std::int64_t groups) {
  Shape padding;
  const Tensor padded = PadForWindow(x, window, 0.0, padding);
  const std::size_t rank = window.rank();
  Tensor data = AddHeight(padded, rank), weights = AddHeight(kernel, rank);
  if (rank <= 2) {
    const at::MemoryFormat format = FormatFor(x, window);
    // As a view of Keras' layout the kernel would do as well, but with one input channel LibTorch
    // cannot tell which format that is, and its backward takes five times as long; copying a kernel
    // costs next to nothing.
    weights = weights.contiguous(format);
    if (format == at::MemoryFormat::Contiguous && data.is_cuda()) data = data.contiguous();
  }
  const Tensor y =
      at::convolution(data, weights, bias, WithHeight(strides, 1), WithHeight(padding, 0),
                      WithHeight(window.dilation, 1), /*transposed=*/false,
                      /*output_padding=*/WithHeight(Shape(rank, 0), 0), groups);
  return DropHeight(y, rank);
}

Result<std::int64_t> InputChannels(const Shape& input, const Window& window) {
  if (input.size() != window.rank() + 2) {
    return Invalid("needs an input of rank " + std::to_string(window.rank() + 2) + ", not " +
                   ToString(input));
  }
  const std::int64_t channels = input[ChannelAxis(input.size(), window.channels_last)];
  if (channels == kUnknown) return Invalid("the channel axis of its input must be known");
  return channels;
}

template <std::size_t rank>
class Convolution final : public UnaryLayer {
 public:
  explicit Convolution(ConfigReader& c)
      : window_(ReadWindow(c, rank, rank == 1)),
        filters_(c.Int("filters", std::nullopt, 1, kMaxFilters)),
        groups_(c.Int("groups", 1, 1, kMaxFilters)),
        activation_(ReadActivation(c, "activation", nullptr)),
        use_bias_(c.Bool("use_bias", true)) {
    kernel_options_ = {ReadInitializer(c, "kernel_initializer", "glorot_uniform"), true,
                       ReadRegularizer(c, "kernel_regularizer"),
                       ReadConstraint(c, "kernel_constraint")};
    bias_options_ = {ReadInitializer(c, "bias_initializer", "zeros"), true,
                     ReadRegularizer(c, "bias_regularizer"), ReadConstraint(c, "bias_constraint")};
    c.Require("lora_rank", nullptr);
    c.Require("quantization_config", nullptr);
    c.Ignore({"lora_alpha"});
    if (filters_ % groups_ != 0) c.Fail("'filters' must be a multiple of 'groups'");
  }

  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    ELEPHAS_ASSIGN_OR_RETURN(channels_, InputChannels(input, window_));
    if (channels_ % groups_ != 0) return Invalid("the input's channels must divide by 'groups'");
    Shape shape = window_.size;
    shape.push_back(channels_ / groups_);
    shape.push_back(filters_);
    ELEPHAS_ASSIGN_OR_RETURN(kernel_, weights.Add("kernel", shape, kernel_options_));
    if (use_bias_) {
      ELEPHAS_ASSIGN_OR_RETURN(bias_, weights.Add("bias", {filters_}, bias_options_));
    }
    return OkStatus();
  }

  Result<Shape> OutputShape(const Shape& input) const override {
    ELEPHAS_ASSIGN_OR_RETURN(Shape output, window_.OutputShape(input, filters_));
    if (input[ChannelAxis(input.size(), window_.channels_last)] != channels_) {
      return Invalid("was built for " + std::to_string(channels_) +
                     " channels, its input has shape " + ToString(input));
    }
    return output;
  }

  Tensor Compute(const Tensor& x, Step&) override {
    const Tensor y =
        Convolve(ToChannelsFirst(x, window_.channels_last), ConvolutionKernel(kernel_->tensor),
                 bias_ == nullptr ? Tensor() : bias_->tensor, window_, window_.strides, groups_);
    return Activated(y, activation_, window_);
  }

 private:
  Window window_;
  std::int64_t filters_, groups_;
  Activation activation_;
  bool use_bias_;
  WeightOptions kernel_options_, bias_options_;
  std::int64_t channels_ = 0;
  Weight* kernel_ = nullptr;
  Weight* bias_ = nullptr;
};

// A convolution of its own for each input channel.
Tensor DepthwiseConvolve(const Tensor& x, const Tensor& kernel, const Tensor& bias,
                         const Window& window) {
  return Convolve(x, DepthwiseKernel(kernel), bias, window, window.strides, x.size(1));
}

template <std::size_t rank>
class DepthwiseConvolution final : public UnaryLayer {
 public:
  explicit DepthwiseConvolution(ConfigReader& c)
      : window_(ReadWindow(c, rank, false)),
        multiplier_(c.Int("depth_multiplier", 1, 1, kMaxFilters)),
        activation_(ReadActivation(c, "activation", nullptr)),
        use_bias_(c.Bool("use_bias", true)) {
    kernel_options_ = {ReadInitializer(c, "depthwise_initializer", "glorot_uniform"), true,
                       ReadRegularizer(c, "depthwise_regularizer"),
                       ReadConstraint(c, "depthwise_constraint")};
    bias_options_ = {ReadInitializer(c, "bias_initializer", "zeros"), true,
                     ReadRegularizer(c, "bias_regularizer"), ReadConstraint(c, "bias_constraint")};
  }
  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    ELEPHAS_ASSIGN_OR_RETURN(channels_, InputChannels(input, window_));
    Shape shape = window_.size;
    shape.push_back(channels_);
    shape.push_back(multiplier_);
    ELEPHAS_ASSIGN_OR_RETURN(kernel_, weights.Add("kernel", shape, kernel_options_));
    if (use_bias_) {
      ELEPHAS_ASSIGN_OR_RETURN(bias_,
                               weights.Add("bias", {channels_ * multiplier_}, bias_options_));
    }
    return OkStatus();
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    return window_.OutputShape(input, channels_ * multiplier_);
  }
  Tensor Compute(const Tensor& x, Step&) override {
    const Tensor y = DepthwiseConvolve(ToChannelsFirst(x, window_.channels_last), kernel_->tensor,
                                       bias_ == nullptr ? Tensor() : bias_->tensor, window_);
    return Activated(y, activation_, window_);
  }

 private:
  Window window_;
  std::int64_t multiplier_, channels_ = 0;
  Activation activation_;
  bool use_bias_;
  WeightOptions kernel_options_, bias_options_;
  Weight* kernel_ = nullptr;
  Weight* bias_ = nullptr;
};

// Depthwise, then a 1x1 convolution.
template <std::size_t rank>
class SeparableConvolution final : public UnaryLayer {
 public:
  explicit SeparableConvolution(ConfigReader& c)
      : window_(ReadWindow(c, rank, false)),
        filters_(c.Int("filters", std::nullopt, 1, kMaxFilters)),
        multiplier_(c.Int("depth_multiplier", 1, 1, kMaxFilters)),
        activation_(ReadActivation(c, "activation", nullptr)),
        use_bias_(c.Bool("use_bias", true)) {
    depthwise_options_ = {ReadInitializer(c, "depthwise_initializer", "glorot_uniform"), true,
                          ReadRegularizer(c, "depthwise_regularizer"),
                          ReadConstraint(c, "depthwise_constraint")};
    pointwise_options_ = {ReadInitializer(c, "pointwise_initializer", "glorot_uniform"), true,
                          ReadRegularizer(c, "pointwise_regularizer"),
                          ReadConstraint(c, "pointwise_constraint")};
    bias_options_ = {ReadInitializer(c, "bias_initializer", "zeros"), true,
                     ReadRegularizer(c, "bias_regularizer"), ReadConstraint(c, "bias_constraint")};
    point_.size = point_.strides = point_.dilation = Shape(rank, 1);
  }
  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t channels, InputChannels(input, window_));
    Shape depthwise = window_.size;
    depthwise.push_back(channels);
    depthwise.push_back(multiplier_);
    Shape pointwise(rank, 1);
    pointwise.push_back(channels * multiplier_);
    pointwise.push_back(filters_);
    ELEPHAS_ASSIGN_OR_RETURN(depthwise_,
                             weights.Add("depthwise_kernel", depthwise, depthwise_options_));
    ELEPHAS_ASSIGN_OR_RETURN(pointwise_,
                             weights.Add("pointwise_kernel", pointwise, pointwise_options_));
    if (use_bias_) {
      ELEPHAS_ASSIGN_OR_RETURN(bias_, weights.Add("bias", {filters_}, bias_options_));
    }
    return OkStatus();
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    return window_.OutputShape(input, filters_);
  }
  Tensor Compute(const Tensor& x, Step&) override {
    const Tensor deep = DepthwiseConvolve(ToChannelsFirst(x, window_.channels_last),
                                          depthwise_->tensor, Tensor(), window_);
    const Tensor y =
        Convolve(deep, ConvolutionKernel(pointwise_->tensor),
                 bias_ == nullptr ? Tensor() : bias_->tensor, point_, point_.strides, 1);
    return Activated(y, activation_, window_);
  }

 private:
  Window window_, point_;
  std::int64_t filters_, multiplier_;
  Activation activation_;
  bool use_bias_;
  WeightOptions depthwise_options_, pointwise_options_, bias_options_;
  Weight* depthwise_ = nullptr;
  Weight* pointwise_ = nullptr;
  Weight* bias_ = nullptr;
};

constexpr std::array<LayerEntry, 7> kConvolutionLayers{{
    {"Conv1D", MakeLayer<Convolution<1>>},
    {"Conv2D", MakeLayer<Convolution<2>>},
    {"Conv3D", MakeLayer<Convolution<3>>},
    {"DepthwiseConv1D", MakeLayer<DepthwiseConvolution<1>>},
    {"DepthwiseConv2D", MakeLayer<DepthwiseConvolution<2>>},
    {"SeparableConv1D", MakeLayer<SeparableConvolution<1>>},
    {"SeparableConv2D", MakeLayer<SeparableConvolution<2>>},
}};

}  // namespace

std::span<const LayerEntry> ConvolutionLayers() { return kConvolutionLayers; }

}  // namespace elephas::keras
