// Fixed arithmetic on the model's inputs.
#include <algorithm>
#include <array>
#include <cmath>

#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

// Numbers in nested lists ({"class_name": "__numpy__", …} unwrapped), flattened; and their shape.
bool ReadNumbers(const json& input, std::vector<float>& values, Shape& shape, int depth = 0) {
  if (input.is_number()) {
    values.push_back(input.get<float>());
    return true;
  }
  if (input.is_object() && input.contains("config") && input["config"].is_object() &&
      input["config"].contains("value")) {
    return ReadNumbers(input["config"]["value"], values, shape, depth);
  }
  if (!input.is_array() || depth > 8) return false;
  if (shape.size() == static_cast<std::size_t>(depth)) {
    shape.push_back(static_cast<std::int64_t>(input.size()));
  } else if (shape[static_cast<std::size_t>(depth)] != static_cast<std::int64_t>(input.size())) {
    return false;
  }
  return std::all_of(input.begin(), input.end(),
                     [&](const json& item) { return ReadNumbers(item, values, shape, depth + 1); });
}

Tensor ReadTensor(ConfigReader& c, const char* name, const json& fallback) {
  const json& option = c.Any(name);
  std::vector<float> values;
  Shape shape;
  if (!ReadNumbers(option.is_null() ? fallback : option, values, shape)) {
    c.Fail("'" + std::string(name) + "' must be a number or a list of numbers");
    return at::zeros({});
  }
  const Result<std::int64_t> count = Elements(shape);
  if (!count.ok() || *count != static_cast<std::int64_t>(values.size())) {
    c.Fail("'" + std::string(name) + "' must be a regular list");
    return at::zeros({});
  }
  return at::tensor(values).view(shape);
}

// The numbers where `x` is. They stay there: copying them for each batch would wait for the device.
const Tensor& On(const Tensor& x, Tensor& numbers) {
  if (numbers.device() != x.device()) numbers = numbers.to(x.device());
  return numbers;
}

class Rescaling final : public MaskPassingLayer {
 public:
  explicit Rescaling(ConfigReader& c) {
    if (!c.Has("scale")) c.Fail("'scale' is missing");
    scale_ = ReadTensor(c, "scale", 1.0);
    offset_ = ReadTensor(c, "offset", 0.0);
  }
  Tensor Compute(const Tensor& x, Step&) override { return x * On(x, scale_) + On(x, offset_); }

 private:
  Tensor scale_, offset_;
};

class Normalization final : public MaskPassingLayer {
 public:
  explicit Normalization(ConfigReader& c) : invert_(c.Bool("invert", false)) {
    // Keras writes null and () for "no axis", and -1 as [-1].
    if (c.Has("axis") && !c.Any("axis").empty()) axes_ = c.IntList("axis", -16, 16);
    if (c.Has("mean") != c.Has("variance")) c.Fail("'mean' and 'variance' must be given together");
    if (c.Has("mean")) {
      mean_ = ReadTensor(c, "mean", 0.0);
      variance_ = ReadTensor(c, "variance", 1.0);
    }
  }
  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    Shape kept;
    broadcast_.assign(input.size(), 1);
    std::vector<std::int64_t> axes;
    for (const std::int64_t axis : axes_) {
      ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t index, NormalizeAxis(axis, input.size()));
      axes.push_back(index);
    }
    std::sort(axes.begin(), axes.end());
    for (const std::int64_t axis : axes) {
      const std::int64_t extent = input[static_cast<std::size_t>(axis)];
      if (extent == kUnknown) return Invalid("the kept axes of its input must be known");
      kept.push_back(extent);
      broadcast_[static_cast<std::size_t>(axis)] = extent;
    }
    if (mean_.defined()) return FixGiven(axes);
    ELEPHAS_ASSIGN_OR_RETURN(adapted_mean_,
                             weights.Add("mean", kept, {ConstantInitializer(0.0F), false}));
    ELEPHAS_ASSIGN_OR_RETURN(adapted_variance_,
                             weights.Add("variance", kept, {ConstantInitializer(1.0F), false}));
    // Keras keeps the number of rows that adapt() saw; nothing here uses it.
    return weights.Add("count", {}, {ConstantInitializer(0.0F), false}).status();
  }
  Tensor Compute(const Tensor& x, Step&) override {
    const bool given = mean_.defined();
    const Tensor mean = given ? On(x, mean_) : adapted_mean_->tensor.view(broadcast_);
    const Tensor variance = given ? On(x, variance_) : adapted_variance_->tensor.view(broadcast_);
    const Tensor deviation = at::clamp_min(at::sqrt(variance), 1e-7);
    return invert_ ? mean + x * deviation : (x - mean) / deviation;
  }

 private:
  // Aligns given statistics with the kept axes, from the right.
  Status FixGiven(const std::vector<std::int64_t>& axes) {
    for (Tensor* tensor : {&mean_, &variance_}) {
      if (tensor->dim() == 0) continue;
      if (static_cast<std::size_t>(tensor->dim()) > axes.size()) {
        return Invalid("'mean' and 'variance' have more axes than are kept");
      }
      Shape shape(broadcast_.size(), 1);
      for (std::int64_t i = 1; i <= tensor->dim(); ++i) {
        shape[static_cast<std::size_t>(axes[axes.size() - static_cast<std::size_t>(i)])] =
            tensor->size(-i);
      }
      ELEPHAS_RETURN_IF_ERROR(BroadcastShapes(shape, broadcast_).status());
      *tensor = tensor->view(shape);
    }
    return OkStatus();
  }

  Shape axes_, broadcast_;
  bool invert_;
  Tensor mean_, variance_;  // given ones
  Weight* adapted_mean_ = nullptr;
  Weight* adapted_variance_ = nullptr;
};

constexpr std::array<LayerEntry, 2> kPreprocessingLayers{{
    {"Rescaling", MakeLayer<Rescaling>},
    {"Normalization", MakeLayer<Normalization>},
}};

}  // namespace

std::span<const LayerEntry> PreprocessingLayers() { return kPreprocessingLayers; }

}  // namespace elephas::keras
