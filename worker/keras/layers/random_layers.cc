// Layers that act on training only: most draw random numbers.
#include <array>
#include <cmath>

#include "worker/keras/config/layout.h"
#include "worker/keras/functions/dropout_mask.h"
#include "worker/keras/functions/window.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

double ReadRate(ConfigReader& c) {
  const double rate = c.Number("rate", std::nullopt);
  if (!(rate >= 0.0 && rate <= 1.0)) c.Fail("'rate' must be between 0 and 1");
  c.Ignore({"seed"});
  return rate;
}

class Dropout final : public MaskPassingLayer {
 public:
  explicit Dropout(ConfigReader& c) : rate_(ReadRate(c)) {
    const nlohmann::json& noise = c.Any("noise_shape");
    if (noise.is_null()) return;
    if (!noise.is_array() || noise.size() > 16) {
      c.Fail("'noise_shape' must be a short list");
      return;
    }
    for (const nlohmann::json& extent : noise) {
      const bool known = extent.is_number_integer() && extent >= 1 && extent <= kMaxElements;
      if (!known && !extent.is_null()) c.Fail("'noise_shape' must hold sizes or null");
      noise_shape_.push_back(known ? extent.get<std::int64_t>() : kUnknown);
    }
  }
  Status BuildFor(const Shape&, WeightMaker& weights) override {
    weights.group().random = rate_ > 0.0;
    return OkStatus();
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    if (!noise_shape_.empty() && noise_shape_.size() != input.size()) {
      return Invalid("'noise_shape' has " + std::to_string(noise_shape_.size()) +
                     " axes, its input " + std::to_string(input.size()));
    }
    return input;
  }
  Tensor Compute(const Tensor& x, Step& step) override {
    if (!step.training || rate_ == 0.0) return x;
    Shape sizes = x.sizes().vec();
    for (std::size_t i = 0; i < noise_shape_.size(); ++i) {
      if (noise_shape_[i] != kUnknown) sizes[i] = noise_shape_[i];
    }
    return x * DropoutMask(sizes, x.options(), rate_);
  }

 private:
  double rate_;
  Shape noise_shape_;
};

// Drops whole feature maps: one draw for all positions of a channel.
template <std::int64_t rank>
class SpatialDropout final : public MaskPassingLayer {
 public:
  explicit SpatialDropout(ConfigReader& c)
      : rate_(ReadRate(c)), channels_last_(ReadChannelsLast(c)) {
    c.Ignore({"noise_shape"});
  }
  Status BuildFor(const Shape&, WeightMaker& weights) override {
    weights.group().random = rate_ > 0.0;
    return OkStatus();
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    if (input.size() == static_cast<std::size_t>(rank + 2)) return input;
    return Invalid("needs an input of rank " + std::to_string(rank + 2));
  }
  Tensor Compute(const Tensor& x, Step& step) override {
    if (!step.training || rate_ == 0.0) return x;
    Shape sizes = x.sizes().vec();
    for (std::int64_t i = 0; i < rank; ++i) {
      sizes[SpatialAxis(channels_last_) + static_cast<std::size_t>(i)] = 1;
    }
    return x * DropoutMask(sizes, x.options(), rate_);
  }

 private:
  double rate_;
  bool channels_last_;
};

// Keeps mean and variance of a selu network: what is dropped becomes the negative saturation value,
// and an affine map repairs the moments.
class AlphaDropout final : public MaskPassingLayer {
 public:
  explicit AlphaDropout(ConfigReader& c) : rate_(ReadRate(c)) { c.Require("noise_shape", nullptr); }
  Status BuildFor(const Shape&, WeightMaker& weights) override {
    weights.group().random = rate_ > 0.0;
    return OkStatus();
  }
  Tensor Compute(const Tensor& x, Step& step) override {
    if (!step.training || rate_ == 0.0) return x;
    constexpr double kSaturation = -1.6732632423543772 * 1.0507009873554805;
    const Tensor kept = at::empty_like(x).bernoulli_(1.0 - rate_);
    const double a = 1.0 / std::sqrt((1.0 - rate_) * (1.0 + rate_ * kSaturation * kSaturation));
    const double b = -a * kSaturation * rate_;
    return a * (x * kept + kSaturation * (1.0 - kept)) + b;
  }

 private:
  double rate_;
};

class GaussianDropout final : public MaskPassingLayer {
 public:
  explicit GaussianDropout(ConfigReader& c) : rate_(ReadRate(c)) {
    if (rate_ >= 1.0) c.Fail("'rate' must be below 1");
  }
  Status BuildFor(const Shape&, WeightMaker& weights) override {
    weights.group().random = rate_ > 0.0;
    return OkStatus();
  }
  Tensor Compute(const Tensor& x, Step& step) override {
    if (!step.training || rate_ == 0.0) return x;
    return x * at::empty_like(x).normal_(1.0, std::sqrt(rate_ / (1.0 - rate_)));
  }

 private:
  double rate_;
};

class GaussianNoise final : public MaskPassingLayer {
 public:
  explicit GaussianNoise(ConfigReader& c) : stddev_(c.Number("stddev", std::nullopt)) {
    if (stddev_ < 0.0) c.Fail("'stddev' must not be negative");
    c.Ignore({"seed"});
  }
  Status BuildFor(const Shape&, WeightMaker& weights) override {
    weights.group().random = stddev_ > 0.0;
    return OkStatus();
  }
  Tensor Compute(const Tensor& x, Step& step) override {
    if (!step.training || stddev_ == 0.0) return x;
    return x + at::empty_like(x).normal_(0.0, stddev_);
  }

 private:
  double stddev_;
};

// Adds a penalty of its input to the loss, per row.
class ActivityRegularization final : public MaskPassingLayer {
 public:
  explicit ActivityRegularization(ConfigReader& c)
      : l1_(c.Number("l1", 0.0)), l2_(c.Number("l2", 0.0)) {}
  Tensor Compute(const Tensor& x, Step& step) override {
    const auto batch = static_cast<double>(x.size(0));
    step.losses.push_back((l1_ * at::abs(x).sum() + l2_ * at::square(x).sum()) / batch);
    return x;
  }

 private:
  double l1_, l2_;
};

constexpr std::array<LayerEntry, 8> kRandomLayers{{
    {"Dropout", MakeLayer<Dropout>},
    {"SpatialDropout1D", MakeLayer<SpatialDropout<1>>},
    {"SpatialDropout2D", MakeLayer<SpatialDropout<2>>},
    {"SpatialDropout3D", MakeLayer<SpatialDropout<3>>},
    {"AlphaDropout", MakeLayer<AlphaDropout>},
    {"GaussianDropout", MakeLayer<GaussianDropout>},
    {"GaussianNoise", MakeLayer<GaussianNoise>},
    {"ActivityRegularization", MakeLayer<ActivityRegularization>},
}};

}  // namespace

std::span<const LayerEntry> RandomLayers() { return kRandomLayers; }

}  // namespace elephas::keras
