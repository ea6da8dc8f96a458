// Layers that draw random numbers while training and do nothing otherwise.
#include <array>
#include <cmath>

#include "worker/keras/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

double ReadRate(ConfigReader& c) {
  const double rate = c.Number("rate", std::nullopt);
  if (!(rate >= 0.0 && rate <= 1.0)) c.Fail("'rate' must be between 0 and 1");
  c.Ignore({"seed"});
  return rate;
}

// 1 / (1 - rate) with probability 1 - rate, else 0; broadcast over x along axes of extent 1.
Tensor DropoutMask(const Tensor& x, const Shape& sizes, double rate) {
  if (rate >= 1.0) return at::zeros(sizes, x.options());
  return at::empty(sizes, x.options()).bernoulli_(1.0 - rate).div_(1.0 - rate);
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
    return x * DropoutMask(x, sizes, rate_);
  }

 private:
  double rate_;
  Shape noise_shape_;
};

constexpr std::array<LayerEntry, 1> kEntries{{
    {"Dropout", MakeLayer<Dropout>},
}};

}  // namespace

std::span<const LayerEntry> RandomLayers() { return kEntries; }

}  // namespace elephas::keras
