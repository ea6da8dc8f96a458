// Dense and the layers that everything else is built around.
#include <array>

#include "worker/keras/functions/activation.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

constexpr std::int64_t kMaxUnits = std::int64_t{1} << 31;

class Dense final : public MaskPassingLayer {
 public:
  explicit Dense(ConfigReader& c)
      : units_(c.Int("units", std::nullopt, 1, kMaxUnits)),
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
  }

  Status BuildFor(const Shape& input, WeightMaker& weights) override {
    if (input.size() < 2) return Invalid("needs an input of rank 2 or more");
    if (input.back() == kUnknown) return Invalid("the last axis of its input must be known");
    ELEPHAS_ASSIGN_OR_RETURN(kernel_,
                             weights.Add("kernel", {input.back(), units_}, kernel_options_));
    if (use_bias_) {
      ELEPHAS_ASSIGN_OR_RETURN(bias_, weights.Add("bias", {units_}, bias_options_));
    }
    return OkStatus();
  }

  Result<Shape> OutputShape(const Shape& input) const override {
    if (input.size() < 2 || input.back() != kernel_->shape[0]) {
      return Invalid("was built for " + std::to_string(kernel_->shape[0]) +
                     " features, its input has shape " + ToString(input));
    }
    Shape output = input;
    output.back() = units_;
    return output;
  }

  Tensor Compute(const Tensor& x, Step&) override {
    if (x.dim() == 2 && bias_ != nullptr) {
      return activation_(at::addmm(bias_->tensor, x, kernel_->tensor));
    }
    Tensor y = at::matmul(x, kernel_->tensor);
    if (bias_ != nullptr) y = y + bias_->tensor;
    return activation_(y);
  }

 private:
  std::int64_t units_;
  Activation activation_;
  bool use_bias_;
  WeightOptions kernel_options_, bias_options_;
  Weight* kernel_ = nullptr;
  Weight* bias_ = nullptr;
};

class IdentityLayer final : public MaskPassingLayer {
 public:
  explicit IdentityLayer(ConfigReader&) {}
  Tensor Compute(const Tensor& x, Step&) override { return x; }
  bool TakesIntegers() const override { return true; }
};

constexpr std::array<LayerEntry, 2> kCoreLayers{{
    {"Dense", MakeLayer<Dense>},
    {"Identity", MakeLayer<IdentityLayer>},
}};

}  // namespace

std::span<const LayerEntry> CoreLayers() { return kCoreLayers; }

}  // namespace elephas::keras
