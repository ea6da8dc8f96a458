// Layers that move elements and compute nothing.
#include <algorithm>
#include <array>
#include <numeric>

#include "worker/keras/layer_table.h"
#include "worker/keras/layout.h"
#include "worker/keras/window.h"

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

constexpr std::array<LayerEntry, 2> kEntries{{
    {"Flatten", MakeLayer<Flatten>},
    {"Reshape", MakeLayer<Reshape>},
}};

}  // namespace

std::span<const LayerEntry> ReshapingLayers() { return kEntries; }

}  // namespace elephas::keras
