// Layers that move elements and compute nothing.
#include <algorithm>
#include <array>
#include <numeric>

#include "worker/keras/config/layout.h"
#include "worker/keras/functions/window.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

class Flatten final : public UnaryLayer {
 public:
  explicit Flatten(ConfigReader& c) : channels_last_(ReadChannelsLast(c)) {}
  Result<Shape> OutputShape(const Shape& input) const override {
    if (input.size() == 1) return Shape{input[0], 1};
    const Shape rest(input.begin() + 1, input.end());
    if (std::find(rest.begin(), rest.end(), kUnknown) != rest.end()) {
      return Shape{input[0], kUnknown};
    }
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t count, Elements(rest));
    return Shape{input[0], count};
  }
  Tensor Compute(const Tensor& x, Step&) override {
    if (x.dim() == 1) return x.unsqueeze(1);
    const Tensor ordered = channels_last_ || x.dim() < 3 ? x : FromChannelsFirst(x, true);
    return ordered.flatten(1);
  }
  bool TakesIntegers() const override { return true; }

 private:
  bool channels_last_;
};

class Reshape final : public UnaryLayer {
 public:
  explicit Reshape(ConfigReader& c) {
    // A -1 may come as null.
    const nlohmann::json& target = c.Any("target_shape");
    if (!target.is_array() || target.size() > 16) {
      c.Fail("'target_shape' must be a short list");
      return;
    }
    for (const nlohmann::json& extent : target) {
      if (extent.is_null()) {
        target_.push_back(kUnknown);
      } else if (extent.is_number_integer() && extent >= -1 && extent <= kMaxElements) {
        target_.push_back(extent.get<std::int64_t>());
      } else {
        c.Fail("'target_shape' must hold sizes");
        return;
      }
    }
    if (std::count(target_.begin(), target_.end(), kUnknown) > 1) {
      c.Fail("'target_shape' may leave out one size only");
    }
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    Shape output = target_;
    const Shape rest(input.begin() + 1, input.end());
    const Result<std::int64_t> count = Elements(rest);
    const auto open = std::find(output.begin(), output.end(), kUnknown);
    if (count.ok()) {
      if (open != output.end()) *open = 1;
      ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t known, Elements(output));
      const bool fits = open != output.end() ? known > 0 && *count % known == 0 : *count == known;
      if (!fits) return Invalid("cannot turn " + ToString(rest) + " into " + ToString(target_));
      if (open != output.end()) *open = *count / known;
    }
    output.insert(output.begin(), input[0]);
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    Shape sizes = target_;
    sizes.insert(sizes.begin(), x.size(0));
    return x.reshape(sizes);
  }
  bool TakesIntegers() const override { return true; }

 private:
  Shape target_;
};

class Permute final : public UnaryLayer {
 public:
  explicit Permute(ConfigReader& c) : dims_(c.IntList("dims", 1, 16)) {
    Shape sorted = dims_;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (sorted[i] != static_cast<std::int64_t>(i) + 1) {
        c.Fail("'dims' must be a permutation of 1, 2, …");
        break;
      }
    }
    dims_.insert(dims_.begin(), 0);
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    if (input.size() != dims_.size()) {
      return Invalid("needs an input of rank " + std::to_string(dims_.size()) + ", not " +
                     ToString(input));
    }
    Shape output;
    for (const std::int64_t axis : dims_) output.push_back(input[static_cast<std::size_t>(axis)]);
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override { return x.permute(dims_); }
  bool TakesIntegers() const override { return true; }

 private:
  Shape dims_;
};

class RepeatVector final : public UnaryLayer {
 public:
  explicit RepeatVector(ConfigReader& c) : count_(c.Int("n", std::nullopt, 1, kMaxWindow)) {}
  Result<Shape> OutputShape(const Shape& input) const override {
    if (input.size() != 2) return Invalid("needs an input of rank 2, not " + ToString(input));
    return Shape{input[0], count_, input[1]};
  }
  Tensor Compute(const Tensor& x, Step&) override {
    return x.unsqueeze(1).expand({x.size(0), count_, x.size(1)});
  }
  bool TakesIntegers() const override { return true; }

 private:
  std::int64_t count_;
};

constexpr std::array<LayerEntry, 4> kReshapingLayers{{
    {"Flatten", MakeLayer<Flatten>},
    {"Reshape", MakeLayer<Reshape>},
    {"Permute", MakeLayer<Permute>},
    {"RepeatVector", MakeLayer<RepeatVector>},
}};

}  // namespace

std::span<const LayerEntry> ReshapingLayers() { return kReshapingLayers; }

}  // namespace elephas::keras
