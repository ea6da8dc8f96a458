// Normalizations over the batch and over features.
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include "worker/keras/config/layout.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

// [N, C, 1, M] view of x with the channel axis last: every rank uses one kernel of LibTorch's, the
// channels_last one, without a copy.
Tensor AsImage(const Tensor& x, std::int64_t axis) {
  const Tensor last = x.movedim(axis, -1);
  const std::int64_t channels = last.size(-1);
  const std::int64_t batch = last.dim() > 2 ? last.size(0) : 1;
  return last.reshape({batch, 1, -1, channels}).permute({0, 3, 1, 2});
}

Tensor FromImage(const Tensor& image, const Tensor& like, std::int64_t axis) {
  const Tensor last = like.movedim(axis, -1);
  return image.permute({0, 2, 3, 1}).reshape(last.sizes()).movedim(-1, axis);
}

class BatchNormalization final : public MaskPassingLayer {
 public:
  explicit BatchNormalization(ConfigReader& c)
      : momentum_(c.Number("momentum", 0.99)),
        epsilon_(c.Number("epsilon", 1e-3)),
        center_(c.Bool("center", true)),
        scale_(c.Bool("scale", true)) {
    // Old writers stored the axis as a list of one.
    const auto axes = c.Has("axis") ? c.IntList("axis", -16, 16) : Shape{-1};
    if (axes.size() != 1) c.Fail("'axis' must be one axis");
    if (!axes.empty()) axis_ = axes[0];
    beta_options_ = {ReadInitializer(c, "beta_initializer", "zeros"), true,
                     ReadRegularizer(c, "beta_regularizer"), ReadConstraint(c, "beta_constraint")};
    gamma_options_ = {ReadInitializer(c, "gamma_initializer", "ones"), true,
                      ReadRegularizer(c, "gamma_regularizer"),
                      ReadConstraint(c, "gamma_constraint")};
    mean_initializer_ = ReadInitializer(c, "moving_mean_initializer", "zeros");
    variance_initializer_ = ReadInitializer(c, "moving_variance_initializer", "ones");
    c.Require("synchronized", false);
    c.Require("renorm", false);
    c.Require("virtual_batch_size", nullptr);
    c.Ignore({"renorm_clipping", "renorm_momentum", "fused", "adjustment"});
  }

  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    ELEPHAS_ASSIGN_OR_RETURN(axis_, NormalizeAxis(axis_, input.size()));
    if (axis_ == 0) return Invalid("'axis' must not be the batch axis");
    channels_ = input[static_cast<std::size_t>(axis_)];
    if (channels_ == kUnknown) return Invalid("the normalized axis of its input must be known");
    const Shape shape{channels_};
    if (scale_) {
      ELEPHAS_ASSIGN_OR_RETURN(gamma_, weights.Add("gamma", shape, gamma_options_));
    }
    if (center_) {
      ELEPHAS_ASSIGN_OR_RETURN(beta_, weights.Add("beta", shape, beta_options_));
    }
    ELEPHAS_ASSIGN_OR_RETURN(mean_, weights.Add("moving_mean", shape, {mean_initializer_, false}));
    ELEPHAS_ASSIGN_OR_RETURN(variance_,
                             weights.Add("moving_variance", shape, {variance_initializer_, false}));
    return OkStatus();
  }

  Result<Shape> OutputShape(const Shape& input) const override {
    if (static_cast<std::size_t>(axis_) >= input.size() ||
        input[static_cast<std::size_t>(axis_)] != channels_) {
      return Invalid("was built for " + std::to_string(channels_) +
                     " channels, its input has shape " + ToString(input));
    }
    return input;
  }

  Values Run(const Call& call, std::span<const Value> inputs, Step& step) override {
    if (!inputs[0].mask.defined() || !(step.training && identity.trainable)) {
      return UnaryLayer::Run(call, inputs, step);
    }
    return {{ComputeMasked(inputs[0].tensor, inputs[0].mask), inputs[0].mask}};
  }
  bool MixesRows() const override { return true; }

  // On a GPU by cuDNN where it can.
  [[nodiscard]] Tensor Normalize(const Tensor& image, const Tensor& gamma, const Tensor& beta,
                                 const Tensor& mean, const Tensor& variance, bool training) const {
    return at::batch_norm(image, gamma, beta, mean, variance, training, training ? 1.0 : 0.0,
                          epsilon_, /*cudnn_enabled=*/true);
  }

  Tensor Compute(const Tensor& x, Step& step) override {
    Tensor gamma = gamma_ == nullptr ? Tensor() : gamma_->tensor;
    Tensor beta = beta_ == nullptr ? Tensor() : beta_->tensor;
    if (x.is_cuda()) {  // whose kernels want both
      if (!gamma.defined()) gamma = at::ones_like(mean_->tensor);
      if (!beta.defined()) beta = at::zeros_like(mean_->tensor);
    }
    const Tensor image = AsImage(x, axis_);
    if (!(step.training && identity.trainable)) {
      return FromImage(Normalize(image, gamma, beta, mean_->tensor, variance_->tensor, false), x,
                       axis_);
    }
    // With momentum 1 the kernel leaves the batch's own statistics in these.
    const Tensor mean = at::zeros_like(mean_->tensor);
    const Tensor variance = at::zeros_like(mean_->tensor);
    const Tensor out = FromImage(Normalize(image, gamma, beta, mean, variance, true), x, axis_);
    const c10::NoGradGuard no_grad;
    const std::int64_t values = image.numel() / channels_;  // of each channel
    const auto count = static_cast<double>(values);
    // LibTorch divides by n - 1, Keras by n.
    const Tensor biased = count > 1 ? variance * ((count - 1.0) / count) : at::zeros_like(variance);
    Update(*mean_, mean);
    Update(*variance_, biased);
    return out;
  }

 private:
  // Statistics over the positions that the mask keeps. `mask` lacks the input's last axis.
  Tensor ComputeMasked(const Tensor& x, const Tensor& mask) {
    constexpr double kBackendEpsilon = 1e-7;  // keras.backend.epsilon()
    const Tensor kept = mask.unsqueeze(-1).expand_as(x).to(x.scalar_type());
    std::vector<std::int64_t> axes;
    for (std::int64_t axis = 0; axis < x.dim(); ++axis) {
      if (axis != axis_) axes.push_back(axis);
    }
    const Tensor count = kept.sum(axes, true) + kBackendEpsilon;
    const Tensor mean = (x * kept).sum(axes, true) / count;
    const Tensor variance = (at::square(x - mean) * kept).sum(axes, true) / count;
    Tensor factor = at::rsqrt(variance + epsilon_);
    if (gamma_ != nullptr) factor = factor * gamma_->tensor.view(mean.sizes());
    Tensor out = (x - mean) * factor;
    if (beta_ != nullptr) out = out + beta_->tensor.view(mean.sizes());
    const c10::NoGradGuard no_grad;
    Update(*mean_, mean.flatten());
    Update(*variance_, variance.flatten());
    return out;
  }

  void Update(Weight& moving, const Tensor& batch) const {
    moving.tensor.mul_(momentum_).add_(batch, 1.0 - momentum_);
  }

  std::int64_t axis_ = -1, channels_ = 0;
  double momentum_, epsilon_;
  bool center_, scale_;
  WeightOptions beta_options_, gamma_options_;
  Initializer mean_initializer_, variance_initializer_;
  Weight* gamma_ = nullptr;
  Weight* beta_ = nullptr;
  Weight* mean_ = nullptr;
  Weight* variance_ = nullptr;
};

class LayerNormalization final : public MaskPassingLayer {
 public:
  explicit LayerNormalization(ConfigReader& c)
      : axes_(c.Has("axis") ? c.IntList("axis", -16, 16) : Shape{-1}),
        epsilon_(c.Number("epsilon", 1e-3)),
        center_(c.Bool("center", true)),
        scale_(c.Bool("scale", true)) {
    beta_options_ = {ReadInitializer(c, "beta_initializer", "zeros"), true,
                     ReadRegularizer(c, "beta_regularizer"), ReadConstraint(c, "beta_constraint")};
    gamma_options_ = {ReadInitializer(c, "gamma_initializer", "ones"), true,
                      ReadRegularizer(c, "gamma_regularizer"),
                      ReadConstraint(c, "gamma_constraint")};
    c.Require("rms_scaling", false);
  }
  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    for (std::int64_t& axis : axes_) {
      ELEPHAS_ASSIGN_OR_RETURN(axis, NormalizeAxis(axis, input.size()));
    }
    std::sort(axes_.begin(), axes_.end());
    Shape shape;
    broadcast_.assign(input.size(), 1);
    for (const std::int64_t axis : axes_) {
      shape.push_back(input[static_cast<std::size_t>(axis)]);
      broadcast_[static_cast<std::size_t>(axis)] = shape.back();
    }
    if (scale_) {
      ELEPHAS_ASSIGN_OR_RETURN(gamma_, weights.Add("gamma", shape, gamma_options_));
    }
    if (center_) {
      ELEPHAS_ASSIGN_OR_RETURN(beta_, weights.Add("beta", shape, beta_options_));
    }
    return OkStatus();
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    if (input.size() != broadcast_.size()) return Invalid("was built for another rank");
    return input;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    const Tensor gamma = gamma_ == nullptr ? Tensor() : gamma_->tensor;
    const Tensor beta = beta_ == nullptr ? Tensor() : beta_->tensor;
    if (axes_.size() == 1 && axes_[0] == x.dim() - 1) {
      return at::layer_norm(x, {x.size(-1)}, gamma, beta, epsilon_);
    }
    const Tensor mean = x.mean(axes_, true);
    const Tensor variance = at::square(x - mean).mean(axes_, true);
    Tensor y = (x - mean) * at::rsqrt(variance + epsilon_);
    if (gamma.defined()) y = y * gamma.view(broadcast_);
    if (beta.defined()) y = y + beta.view(broadcast_);
    return y;
  }

 private:
  Shape axes_, broadcast_;
  double epsilon_;
  bool center_, scale_;
  WeightOptions beta_options_, gamma_options_;
  Weight* gamma_ = nullptr;
  Weight* beta_ = nullptr;
};

class GroupNormalization final : public MaskPassingLayer {
 public:
  explicit GroupNormalization(ConfigReader& c)
      : groups_(c.Int("groups", 32, -1)),
        axis_(c.Int("axis", -1, -16, 16)),
        epsilon_(c.Number("epsilon", 1e-3)),
        center_(c.Bool("center", true)),
        scale_(c.Bool("scale", true)) {
    if (groups_ == 0) c.Fail("'groups' must be positive or -1");
    beta_options_ = {ReadInitializer(c, "beta_initializer", "zeros"), true,
                     ReadRegularizer(c, "beta_regularizer"), ReadConstraint(c, "beta_constraint")};
    gamma_options_ = {ReadInitializer(c, "gamma_initializer", "ones"), true,
                      ReadRegularizer(c, "gamma_regularizer"),
                      ReadConstraint(c, "gamma_constraint")};
  }
  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    ELEPHAS_ASSIGN_OR_RETURN(axis_, NormalizeAxis(axis_, input.size()));
    if (axis_ == 0) return Invalid("'axis' must not be the batch axis");
    const std::int64_t channels = input[static_cast<std::size_t>(axis_)];
    if (channels == kUnknown) return Invalid("the normalized axis of its input must be known");
    if (groups_ == -1) groups_ = channels;
    if (groups_ > channels || channels % groups_ != 0) {
      return Invalid("'groups' " + std::to_string(groups_) + " must divide the " +
                     std::to_string(channels) + " channels");
    }
    if (scale_) {
      ELEPHAS_ASSIGN_OR_RETURN(gamma_, weights.Add("gamma", {channels}, gamma_options_));
    }
    if (center_) {
      ELEPHAS_ASSIGN_OR_RETURN(beta_, weights.Add("beta", {channels}, beta_options_));
    }
    return OkStatus();
  }
  Tensor Compute(const Tensor& x, Step&) override {
    const Tensor first = x.movedim(axis_, 1).contiguous();
    const Tensor y = at::group_norm(first, groups_, gamma_ == nullptr ? Tensor() : gamma_->tensor,
                                    beta_ == nullptr ? Tensor() : beta_->tensor, epsilon_);
    return y.movedim(1, axis_);
  }

 private:
  std::int64_t groups_, axis_;
  double epsilon_;
  bool center_, scale_;
  WeightOptions beta_options_, gamma_options_;
  Weight* gamma_ = nullptr;
  Weight* beta_ = nullptr;
};

class UnitNormalization final : public MaskPassingLayer {
 public:
  explicit UnitNormalization(ConfigReader& c)
      : axes_(c.Has("axis") ? c.IntList("axis", -16, 16) : Shape{-1}) {}
  Result<Shape> OutputShape(const Shape& input) const override {
    for (const std::int64_t axis : axes_) {
      ELEPHAS_RETURN_IF_ERROR(NormalizeAxis(axis, input.size()).status());
    }
    return input;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    return x * at::rsqrt(at::clamp_min(at::square(x).sum(axes_, true), 1e-24));
  }

 private:
  Shape axes_;
};

constexpr std::array<LayerEntry, 4> kNormalizationLayers{{
    {"BatchNormalization", MakeLayer<BatchNormalization>},
    {"LayerNormalization", MakeLayer<LayerNormalization>},
    {"GroupNormalization", MakeLayer<GroupNormalization>},
    {"UnitNormalization", MakeLayer<UnitNormalization>},
}};

}  // namespace

std::span<const LayerEntry> NormalizationLayers() { return kNormalizationLayers; }

}  // namespace elephas::keras
