// Activation functions as layers.
#include <array>

#include "worker/keras/functions/activation.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

class ActivationLayer final : public MaskPassingLayer {
 public:
  explicit ActivationLayer(ConfigReader& c) {
    Result<Activation> activation = ParseActivation(c.Any("activation"), "'activation'");
    if (activation.ok()) {
      activation_ = *std::move(activation);
    } else {
      c.Fail(activation.status());
    }
  }
  // Keras says that glu keeps the shape, and then gives half of the last axis.
  Result<Shape> OutputShape(const Shape& input) const override {
    if (activation_.name != "glu" || input.back() == kUnknown) return input;
    if (input.back() % 2 != 0)
      return Invalid("glu needs an even last axis, not " + ToString(input));
    Shape output = input;
    output.back() /= 2;
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override { return activation_(x); }

 private:
  Activation activation_;
};

// ReLU, LeakyReLU, ELU: the class name chooses the function.
template <const char* class_name>
class FunctionLayer final : public MaskPassingLayer {
 public:
  explicit FunctionLayer(ConfigReader& c) : function_(MakeActivationLayer(class_name, c)) {}
  Tensor Compute(const Tensor& x, Step&) override { return function_(x); }

 private:
  ActivationFunction function_;
};
constexpr char kReLU[] = "ReLU";
constexpr char kLeakyReLU[] = "LeakyReLU";
constexpr char kElu[] = "ELU";

// With a mask, masked positions get no weight. The mask must broadcast to the input.
class SoftmaxLayer final : public Layer {
 public:
  explicit SoftmaxLayer(ConfigReader& c) : function_(MakeActivationLayer("Softmax", c)) {}
  Result<ShapeList> OutputShapes(const Call&, const ShapeList& inputs) const override {
    return ShapeList{inputs[0]};
  }
  Values Run(const Call&, std::span<const Value> inputs, Step&) override {
    const Tensor& x = inputs[0].tensor;
    const Tensor& mask = inputs[0].mask;
    if (!mask.defined()) return {{function_(x), {}}};
    const Tensor keep = mask.to(at::kBool);
    const Tensor out = function_(at::where(keep, x, at::full_like(x, -1e9)));
    return {{at::where(keep, out, at::zeros_like(out)), mask}};
  }

 private:
  ActivationFunction function_;
};

class PReLU final : public MaskPassingLayer {
 public:
  explicit PReLU(ConfigReader& c) {
    options_ = {ReadInitializer(c, "alpha_initializer", "zeros"), true,
                ReadRegularizer(c, "alpha_regularizer"), ReadConstraint(c, "alpha_constraint")};
    if (c.Has("shared_axes")) shared_axes_ = c.IntList("shared_axes", -16, 16);
  }
  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    Shape shape(input.begin() + 1, input.end());
    for (const std::int64_t axis : shared_axes_) {
      ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t index, NormalizeAxis(axis, input.size()));
      if (index == 0) return Invalid("'shared_axes' must not name the batch axis");
      shape[static_cast<std::size_t>(index - 1)] = 1;
    }
    ELEPHAS_ASSIGN_OR_RETURN(alpha_, weights.Add("alpha", shape, options_));
    return OkStatus();
  }
  Tensor Compute(const Tensor& x, Step&) override {
    return at::relu(x) - alpha_->tensor * at::relu(-x);
  }

 private:
  std::vector<std::int64_t> shared_axes_;
  WeightOptions options_;
  Weight* alpha_ = nullptr;
};

constexpr std::array<LayerEntry, 6> kActivationLayers{{
    {"Activation", MakeLayer<ActivationLayer>},
    {"ReLU", MakeLayer<FunctionLayer<kReLU>>},
    {"LeakyReLU", MakeLayer<FunctionLayer<kLeakyReLU>>},
    {"ELU", MakeLayer<FunctionLayer<kElu>>},
    {"Softmax", MakeLayer<SoftmaxLayer>},
    {"PReLU", MakeLayer<PReLU>},
}};

}  // namespace

std::span<const LayerEntry> ActivationLayers() { return kActivationLayers; }

}  // namespace elephas::keras
