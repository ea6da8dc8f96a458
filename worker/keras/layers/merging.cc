// Layers that combine several tensors.
#include <algorithm>
#include <array>

#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

// What all merging layers share: a list of at least one input.
class Merge : public Layer {
 protected:
  static Status CheckCount(const ShapeList& inputs, std::size_t low, std::size_t high) {
    if (inputs.size() >= low && inputs.size() <= high) return OkStatus();
    return Invalid("cannot merge " + std::to_string(inputs.size()) + " inputs");
  }
};

using BinaryOperation = Tensor (*)(const Tensor&, const Tensor&);

// What masks of the inputs do to the values. The output has a mask, what any of them keeps, when
// all inputs have one.
enum class MaskUse : std::uint8_t {
  kNone,
  kNeutral,  // dropped values count as one; where all are dropped the output is zero
  kOther,    // where one side is dropped, the other stands alone
};

// Element by element, from left to right.
template <BinaryOperation operation, MaskUse use, bool average = false>
class Elementwise final : public Merge {
 public:
  explicit Elementwise(ConfigReader&) {}

  Result<ShapeList> OutputShapes(const Call&, const ShapeList& inputs) const override {
    ELEPHAS_RETURN_IF_ERROR(CheckCount(inputs, 1, 4096));
    std::size_t rank = 0;
    for (const Shape& shape : inputs) rank = std::max(rank, shape.size());
    Shape output = Expanded(inputs[0], rank);
    for (const Shape& shape : inputs) {
      ELEPHAS_ASSIGN_OR_RETURN(output, BroadcastShapes(output, Expanded(shape, rank)));
    }
    return ShapeList{std::move(output)};
  }

  Values Run(const Call&, std::span<const Value> inputs, Step&) override {
    std::int64_t rank = 0;
    bool all_masked = true;
    for (const Value& input : inputs) {
      rank = std::max(rank, input.tensor.dim());
      all_masked = all_masked && input.mask.defined();
    }
    Tensor output, mask;  // mask: what is kept so far, as wide as the values
    for (const Value& input : inputs) {
      Tensor x = input.tensor;
      while (x.dim() < rank) x = x.unsqueeze(1);
      const Tensor own = MaskOf(input, x);
      if (use == MaskUse::kNeutral && own.defined()) x = at::where(own, x, at::ones_like(x));
      if (!output.defined()) {
        output = x;
        mask = own;
        continue;
      }
      if (use == MaskUse::kOther) {
        if (own.defined()) x = at::where(own, x, output);
        if (mask.defined()) output = at::where(mask, output, x);
      }
      mask = own.defined() && mask.defined() ? at::logical_or(mask, own) : Tensor();
      output = operation(output, x);
    }
    if (use == MaskUse::kNeutral && all_masked) {
      output = at::where(mask, output, at::zeros_like(output));
    }
    if (average) output = output / static_cast<double>(inputs.size());
    return {{output, all_masked ? mask.any(-1) : Tensor()}};
  }
  bool TakesIntegers() const override { return !average; }

 private:
  static Tensor MaskOf(const Value& input, const Tensor& x) {
    if (!input.mask.defined()) return {};
    return input.mask.to(at::kBool).unsqueeze(-1).expand_as(x);
  }
  static Shape Expanded(Shape shape, std::size_t rank) {
    shape.insert(shape.begin() + 1, rank - shape.size(), 1);
    return shape;
  }
};

Tensor AddTensors(const Tensor& a, const Tensor& b) { return a + b; }
Tensor SubtractTensors(const Tensor& a, const Tensor& b) { return a - b; }
Tensor MultiplyTensors(const Tensor& a, const Tensor& b) { return a * b; }
Tensor MaximumTensors(const Tensor& a, const Tensor& b) { return at::maximum(a, b); }
Tensor MinimumTensors(const Tensor& a, const Tensor& b) { return at::minimum(a, b); }

class Concatenate final : public Merge {
 public:
  explicit Concatenate(ConfigReader& c) : axis_(c.Int("axis", -1, -16, 16)) {}

  Result<ShapeList> OutputShapes(const Call&, const ShapeList& inputs) const override {
    ELEPHAS_RETURN_IF_ERROR(CheckCount(inputs, 1, 4096));
    Shape output = inputs[0];
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t axis, NormalizeAxis(axis_, output.size()));
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      if (inputs[i].size() != output.size()) return Invalid("its inputs have different ranks");
      for (std::size_t j = 0; j < output.size(); ++j) {
        const std::int64_t own = inputs[i][j];
        if (j == static_cast<std::size_t>(axis)) {
          output[j] = own == kUnknown || output[j] == kUnknown ? kUnknown : output[j] + own;
        } else if (output[j] == kUnknown) {
          output[j] = own;
        } else if (own != kUnknown && own != output[j]) {
          return Invalid("shapes " + ToString(inputs[0]) + " and " + ToString(inputs[i]) +
                         " differ beside axis " + std::to_string(axis_));
        }
      }
    }
    return ShapeList{std::move(output)};
  }

  Values Run(const Call&, std::span<const Value> inputs, Step&) override {
    std::vector<Tensor> tensors, masks;
    bool any_mask = false;
    for (const Value& input : inputs) {
      tensors.push_back(input.tensor);
      any_mask = any_mask || input.mask.defined();
    }
    Value output{at::cat(tensors, axis_), {}};
    if (any_mask) {
      for (const Value& input : inputs) {
        Tensor mask = input.mask.defined() ? input.mask.to(at::kBool)
                                           : at::ones_like(input.tensor, at::kBool);
        if (mask.dim() < input.tensor.dim()) mask = mask.unsqueeze(-1).expand_as(input.tensor);
        masks.push_back(mask);
      }
      output.mask = at::cat(masks, axis_).any(-1);
    }
    return {std::move(output)};
  }
  bool TakesIntegers() const override { return true; }

 private:
  std::int64_t axis_;
};

class Dot final : public Merge {
 public:
  explicit Dot(ConfigReader& c)
      : axes_(c.Ints("axes", 2, std::nullopt, -16, 16)), normalize_(c.Bool("normalize", false)) {}

  Result<ShapeList> OutputShapes(const Call&, const ShapeList& inputs) const override {
    ELEPHAS_RETURN_IF_ERROR(CheckCount(inputs, 2, 2));
    Shape left = inputs[0];
    Shape right = inputs[1];
    if (left.size() < 2 || right.size() < 2) return Invalid("needs inputs of rank 2 or more");
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t a, NormalizeAxis(axes_[0], left.size()));
    ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t b, NormalizeAxis(axes_[1], right.size()));
    if (a == 0 || b == 0) return Invalid("'axes' must not name the batch axis");
    const std::int64_t left_extent = left[static_cast<std::size_t>(a)];
    const std::int64_t right_extent = right[static_cast<std::size_t>(b)];
    if (left_extent != right_extent && left_extent != kUnknown && right_extent != kUnknown) {
      return Invalid("shapes " + ToString(left) + " and " + ToString(right) + " do not fit");
    }
    left.erase(left.begin() + a);
    right.erase(right.begin() + b);
    left.insert(left.end(), right.begin() + 1, right.end());
    if (left.size() == 1) left.push_back(1);
    return ShapeList{std::move(left)};
  }

  Values Run(const Call&, std::span<const Value> inputs, Step&) override {
    Tensor x = inputs[0].tensor;
    Tensor y = inputs[1].tensor;
    if (normalize_) {
      x = Normalized(x, axes_[0]);
      y = Normalized(y, axes_[1]);
    }
    // [N, left…, K] x [N, K, right…]
    x = x.movedim(axes_[0], -1);
    y = y.movedim(axes_[1], 1);
    Shape sizes = x.sizes().vec();
    sizes.pop_back();
    const Shape right = y.sizes().slice(2).vec();
    sizes.insert(sizes.end(), right.begin(), right.end());
    if (sizes.size() == 1) sizes.push_back(1);
    const Tensor product =
        at::bmm(x.reshape({x.size(0), -1, x.size(-1)}), y.reshape({y.size(0), y.size(1), -1}));
    return {{product.reshape(sizes), {}}};
  }

 private:
  static Tensor Normalized(const Tensor& x, std::int64_t axis) {
    return x * at::rsqrt(at::clamp_min(at::square(x).sum(axis, true), 1e-12));
  }
  Shape axes_;
  bool normalize_;
};

constexpr std::array<LayerEntry, 8> kMergingLayers{{
    {"Add", MakeLayer<Elementwise<AddTensors, MaskUse::kNone>>},
    {"Subtract", MakeLayer<Elementwise<SubtractTensors, MaskUse::kNone>>},
    {"Multiply", MakeLayer<Elementwise<MultiplyTensors, MaskUse::kNeutral>>},
    {"Average", MakeLayer<Elementwise<AddTensors, MaskUse::kNone, true>>},
    {"Maximum", MakeLayer<Elementwise<MaximumTensors, MaskUse::kOther>>},
    {"Minimum", MakeLayer<Elementwise<MinimumTensors, MaskUse::kOther>>},
    {"Concatenate", MakeLayer<Concatenate>},
    {"Dot", MakeLayer<Dot>},
}};

}  // namespace

std::span<const LayerEntry> MergingLayers() { return kMergingLayers; }

}  // namespace elephas::keras
