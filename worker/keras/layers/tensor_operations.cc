// Operations that reduce, reshape or select; Keras stores them where masks and slices meet the
// graph.
#include <algorithm>
#include <array>

#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

// An operation on one tensor, which Keras calls x.
class TensorOperation : public UnaryLayer {
 public:
  std::span<const std::string_view> Parameters() const override {
    static constexpr std::array<std::string_view, 1> kOperand{"x"};
    return kOperand;
  }
  bool TakesIntegers() const override { return true; }
};

enum class Reduction : std::uint8_t { kAny, kAll, kSum, kMean, kMax, kMin };

template <Reduction reduction>
class Reduce final : public TensorOperation {
 public:
  explicit Reduce(ConfigReader& c) : keepdims_(c.Bool("keepdims", false)) {
    if (c.Has("axis")) axes_ = c.IntList("axis", -16, 16);
    c.Require("initial", nullptr);
    c.Require("where", nullptr);
    c.Ignore({"dtype"});
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    Shape output = input;
    std::vector<std::size_t> axes;
    for (std::size_t i = 0; axes_.empty() && i < input.size(); ++i) axes.push_back(i);
    for (const std::int64_t axis : axes_) {
      ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t index, NormalizeAxis(axis, input.size()));
      axes.push_back(static_cast<std::size_t>(index));
    }
    std::sort(axes.begin(), axes.end());
    axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
    for (std::size_t i = axes.size(); i-- > 0;) {
      if (keepdims_) {
        output[axes[i]] = 1;
      } else {
        output.erase(output.begin() + static_cast<std::ptrdiff_t>(axes[i]));
      }
    }
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    std::vector<std::int64_t> axes = axes_;
    for (std::int64_t i = 0; axes_.empty() && i < x.dim(); ++i) axes.push_back(i);
    switch (reduction) {
      case Reduction::kAny:
        return at::any(x, axes, keepdims_);
      case Reduction::kAll:
        return at::all(x, axes, keepdims_);
      case Reduction::kSum:
        return x.sum(axes, keepdims_);
      case Reduction::kMean:
        return x.to(at::kFloat).mean(axes, keepdims_);
      case Reduction::kMax:
        return at::amax(x, axes, keepdims_);
      case Reduction::kMin:
        break;
    }
    return at::amin(x, axes, keepdims_);
  }

 private:
  std::vector<std::int64_t> axes_;  // empty: all
  bool keepdims_;
};

class ExpandDims final : public TensorOperation {
 public:
  explicit ExpandDims(ConfigReader& c) : axis_(c.Int("axis", std::nullopt, -16, 16)) {}
  Result<Shape> OutputShape(const Shape& input) const override {
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t axis, NormalizeAxis(axis_, input.size() + 1));
    Shape output = input;
    output.insert(output.begin() + axis, 1);
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override { return x.unsqueeze(axis_); }

 private:
  std::int64_t axis_;
};

class Squeeze final : public TensorOperation {
 public:
  explicit Squeeze(ConfigReader& c) : axis_(c.Int("axis", std::nullopt, -16, 16)) {}
  Result<Shape> OutputShape(const Shape& input) const override {
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t axis, NormalizeAxis(axis_, input.size()));
    if (input[static_cast<std::size_t>(axis)] != 1)
      return Invalid("cannot squeeze " + ToString(input));
    Shape output = input;
    output.erase(output.begin() + axis);
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override { return x.squeeze(axis_); }

 private:
  std::int64_t axis_;
};

at::ScalarType ReadDtype(ConfigReader& c, at::ScalarType fallback) {
  const std::string name = c.String("dtype", "");
  if (name.empty()) return fallback;
  if (name == "bool") return at::kBool;
  if (name == "float32") return at::kFloat;
  if (name.starts_with("int") || name.starts_with("uint")) return at::kLong;
  c.Fail("dtype '" + name + "' is not supported");
  return fallback;
}

// zeros_like and ones_like.
template <bool ones>
class Filled final : public TensorOperation {
 public:
  explicit Filled(ConfigReader& c) : dtype_(ReadDtype(c, at::ScalarType::Undefined)) {}
  Tensor Compute(const Tensor& x, Step&) override {
    const at::ScalarType dtype = dtype_ == at::ScalarType::Undefined ? x.scalar_type() : dtype_;
    return at::full_like(x, ones ? 1 : 0, x.options().dtype(dtype)).detach();
  }

 private:
  at::ScalarType dtype_;
};

class Cast final : public TensorOperation {
 public:
  explicit Cast(ConfigReader& c) : dtype_(ReadDtype(c, at::kFloat)) {}
  Tensor Compute(const Tensor& x, Step&) override { return x.to(dtype_); }

 private:
  at::ScalarType dtype_;
};

class Transpose final : public TensorOperation {
 public:
  explicit Transpose(ConfigReader& c) {
    if (c.Has("axes")) axes_ = c.IntList("axes", 0, 15);
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    Shape output;
    if (axes_.empty()) return Shape(input.rbegin(), input.rend());
    Shape sorted = axes_;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (sorted.size() != input.size() || sorted[i] != static_cast<std::int64_t>(i)) {
        return Invalid("'axes' is no permutation of the axes of " + ToString(input));
      }
    }
    for (const std::int64_t axis : axes_) output.push_back(input[static_cast<std::size_t>(axis)]);
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    if (!axes_.empty()) return x.permute(axes_);
    Shape reversed;
    for (std::int64_t i = x.dim(); i-- > 0;) reversed.push_back(i);
    return x.permute(reversed);
  }

 private:
  Shape axes_;
};

// A reshape of the whole tensor; the batch must stay the first axis, as -1.
class ReshapeOperation final : public TensorOperation {
 public:
  explicit ReshapeOperation(ConfigReader& c) : shape_(c.IntList("newshape", -1, kMaxElements)) {
    if (shape_.empty() || shape_[0] != -1 || std::count(shape_.begin(), shape_.end(), -1) != 1) {
      c.Fail("'newshape' must leave out the batch axis, the first, and nothing else");
    }
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    const Result<std::int64_t> have = Elements(Shape(input.begin() + 1, input.end()));
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t want,
                             Elements(Shape(shape_.begin() + 1, shape_.end())));
    if (have.ok() && *have != want) {
      return Invalid("would mix rows: " + ToString(input) + " to " + ToString(shape_));
    }
    return shape_;
  }
  Tensor Compute(const Tensor& x, Step&) override { return x.reshape(shape_); }

 private:
  Shape shape_;
};

class ConcatenateOperation final : public Layer {
 public:
  explicit ConcatenateOperation(ConfigReader& c) : axis_(c.Int("axis", 0, -16, 16)) {}
  std::span<const std::string_view> Parameters() const override {
    static constexpr std::array<std::string_view, 1> kOperands{"xs"};
    return kOperands;
  }
  Result<ShapeList> OutputShapes(const Call&, const ShapeList& inputs) const override {
    Shape output = inputs[0];
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t axis, NormalizeAxis(axis_, output.size()));
    std::int64_t& extent = output[static_cast<std::size_t>(axis)];
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      if (inputs[i].size() != output.size()) return Invalid("its inputs have different ranks");
      const std::int64_t own = inputs[i][static_cast<std::size_t>(axis)];
      extent = own == kUnknown || extent == kUnknown ? kUnknown : extent + own;
    }
    return ShapeList{std::move(output)};
  }
  Values Run(const Call&, std::span<const Value> inputs, Step&) override {
    std::vector<Tensor> tensors;
    for (const Value& input : inputs) tensors.push_back(input.tensor);
    return {{at::cat(tensors, axis_), {}}};
  }
  bool TakesIntegers() const override { return true; }

 private:
  std::int64_t axis_;
};

// x[key] with integers and slices.
class GetItem final : public Layer {
 public:
  explicit GetItem(ConfigReader&) {}
  std::span<const std::string_view> Parameters() const override {
    static constexpr std::array<std::string_view, 2> kParameters{"x", "key"};
    return kParameters;
  }
  Status Build(const Call& call, const ShapeList& inputs, WeightMaker&) override {
    const Call::Argument* key = call.Find("key");
    if (key == nullptr || key->count != 0) return Invalid("'key' must be constant");
    const json items = key->constant.is_array() ? key->constant : json::array({key->constant});
    if (items.empty() || items.size() > inputs[0].size())
      return Invalid("'key' has too many entries");
    for (const json& item : items) {
      Selection selection;
      if (item.is_number_integer() && item >= -kMaxElements && item <= kMaxElements) {
        selection.index = item.get<std::int64_t>();
      } else if (!ReadSlice(item, selection)) {
        return Invalid("'key' may hold integers and slices only");
      }
      selections_.push_back(selection);
    }
    if (selections_[0].index) return Invalid("must not select from the batch");
    return OkStatus();
  }
  Result<ShapeList> OutputShapes(const Call&, const ShapeList& inputs) const override {
    Shape output;
    for (std::size_t i = 0; i < inputs[0].size(); ++i) {
      const std::int64_t extent = inputs[0][i];
      if (i >= selections_.size()) {
        output.push_back(extent);
        continue;
      }
      const Selection& s = selections_[i];
      if (s.index) {
        if (extent != kUnknown && (*s.index < -extent || *s.index >= extent)) {
          return Invalid("index " + std::to_string(*s.index) + " is outside " +
                         ToString(inputs[0]));
        }
        continue;
      }
      output.push_back(extent == kUnknown ? kUnknown : SliceLength(s, extent));
    }
    return ShapeList{std::move(output)};
  }
  Values Run(const Call&, std::span<const Value> inputs, Step&) override {
    Tensor x = inputs[0].tensor;
    std::int64_t axis = 0;
    for (const Selection& s : selections_) {
      if (s.index) {
        x = x.select(axis, *s.index);
      } else {
        x = x.slice(axis++, s.start, s.stop, s.step);
      }
    }
    return {{x, {}}};
  }
  bool TakesIntegers() const override { return true; }

 private:
  struct Selection {
    std::optional<std::int64_t> index, start, stop;
    std::int64_t step = 1;
  };
  static bool ReadSlice(const json& item, Selection& selection) {
    if (!item.is_object() || item.value("class_name", "") != "__slice__" ||
        !item.contains("config")) {
      return false;
    }
    const json& config = item["config"];
    const auto read = [&](const char* name, std::optional<std::int64_t>& out) {
      if (!config.is_object() || !config.contains(name) || config[name].is_null()) return true;
      const json& value = config[name];
      if (!value.is_number_integer() || value < -kMaxElements || value > kMaxElements) return false;
      out = value.get<std::int64_t>();
      return true;
    };
    std::optional<std::int64_t> step;
    if (!read("start", selection.start) || !read("stop", selection.stop) || !read("step", step)) {
      return false;
    }
    selection.step = step.value_or(1);
    return selection.step > 0;
  }
  static std::int64_t SliceLength(const Selection& s, std::int64_t extent) {
    const auto at = [extent](std::int64_t position) {
      return std::clamp<std::int64_t>(position < 0 ? position + extent : position, 0, extent);
    };
    const std::int64_t length = at(s.stop.value_or(extent)) - at(s.start.value_or(0));
    return length <= 0 ? 0 : (length + s.step - 1) / s.step;
  }
  std::vector<Selection> selections_;
};

constexpr std::array<LayerEntry, 15> kTensorOperationsLayers{{
    {"ops.Any", MakeLayer<Reduce<Reduction::kAny>>},
    {"ops.All", MakeLayer<Reduce<Reduction::kAll>>},
    {"ops.Sum", MakeLayer<Reduce<Reduction::kSum>>},
    {"ops.Mean", MakeLayer<Reduce<Reduction::kMean>>},
    {"ops.Max", MakeLayer<Reduce<Reduction::kMax>>},
    {"ops.Min", MakeLayer<Reduce<Reduction::kMin>>},
    {"ops.ExpandDims", MakeLayer<ExpandDims>},
    {"ops.Squeeze", MakeLayer<Squeeze>},
    {"ops.ZerosLike", MakeLayer<Filled<false>>},
    {"ops.OnesLike", MakeLayer<Filled<true>>},
    {"ops.Cast", MakeLayer<Cast>},
    {"ops.Transpose", MakeLayer<Transpose>},
    {"ops.Reshape", MakeLayer<ReshapeOperation>},
    {"ops.Concatenate", MakeLayer<ConcatenateOperation>},
    {"ops.GetItem", MakeLayer<GetItem>},
}};

}  // namespace

std::span<const LayerEntry> TensorOperationLayers() { return kTensorOperationsLayers; }

}  // namespace elephas::keras
