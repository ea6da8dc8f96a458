// Operations that functional models store as layers when tensors meet operators: `x + 1`, `a * b`,
// `not_equal(tokens, 0)`. Their class names stand behind "ops." in the table, because layers share
// them.
#include <array>

#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

using Operation = Tensor (*)(const Tensor&, const Tensor&);

// Two operands, each a tensor or a number.
template <Operation operation>
class Binary final : public Layer {
 public:
  explicit Binary(ConfigReader&) {}

  std::span<const std::string_view> Parameters() const override {
    static constexpr std::array<std::string_view, 2> kOperands{"x1", "x2"};
    return kOperands;
  }

  Status Build(const Call& call, const ShapeList&, WeightMaker&) override {
    for (const char* name : {"x1", "x2"}) {
      const Call::Argument* operand = call.Find(name);
      if (operand == nullptr) return Invalid("operand '" + std::string(name) + "' is missing");
      const bool number = operand->constant.is_number() || operand->constant.is_boolean();
      if (operand->count != 1 && !number) {
        return Invalid("operand '" + std::string(name) + "' must be a tensor or a number");
      }
    }
    return OkStatus();
  }

  Result<ShapeList> OutputShapes(const Call& call, const ShapeList& inputs) const override {
    const int left = call.Index("x1");
    const int right = call.Index("x2");
    if (left < 0 || right < 0) return ShapeList{inputs[0]};
    ELEPHAS_ASSIGN_OR_RETURN(Shape shape, BroadcastShapes(inputs[static_cast<std::size_t>(left)],
                                                          inputs[static_cast<std::size_t>(right)]));
    return ShapeList{std::move(shape)};
  }

  Values Run(const Call& call, std::span<const Value> inputs, Step&) override {
    return {{operation(Operand(call, "x1", inputs), Operand(call, "x2", inputs)), {}}};
  }
  bool TakesIntegers() const override { return true; }

 private:
  static Tensor Operand(const Call& call, const char* name, std::span<const Value> inputs) {
    const Call::Argument* operand = call.Find(name);
    if (operand->count == 1) return inputs[operand->first].tensor;
    // A scalar tensor takes part in type promotion as a Python number does.
    const nlohmann::json& number = operand->constant;
    if (number.is_number_integer()) return at::scalar_tensor(number.get<std::int64_t>(), at::kLong);
    if (number.is_boolean()) return at::scalar_tensor(number.get<bool>(), at::kBool);
    return at::scalar_tensor(number.get<double>());
  }
};

using UnaryOperation = Tensor (*)(const Tensor&);

template <UnaryOperation operation>
class Unary final : public UnaryLayer {
 public:
  explicit Unary(ConfigReader&) {}
  std::span<const std::string_view> Parameters() const override {
    static constexpr std::array<std::string_view, 1> kOperand{"x"};
    return kOperand;
  }
  Tensor Compute(const Tensor& x, Step&) override { return operation(x); }
};

Tensor Add(const Tensor& a, const Tensor& b) { return a + b; }
Tensor Subtract(const Tensor& a, const Tensor& b) { return a - b; }
Tensor Multiply(const Tensor& a, const Tensor& b) { return a * b; }
Tensor Divide(const Tensor& a, const Tensor& b) { return at::true_divide(a, b); }
Tensor Power(const Tensor& a, const Tensor& b) { return at::pow(a, b); }
Tensor Maximum(const Tensor& a, const Tensor& b) { return at::maximum(a, b); }
Tensor Minimum(const Tensor& a, const Tensor& b) { return at::minimum(a, b); }
Tensor Equal(const Tensor& a, const Tensor& b) { return a == b; }
Tensor NotEqual(const Tensor& a, const Tensor& b) { return a != b; }
Tensor Greater(const Tensor& a, const Tensor& b) { return a > b; }
Tensor GreaterEqual(const Tensor& a, const Tensor& b) { return a >= b; }
Tensor Less(const Tensor& a, const Tensor& b) { return a < b; }
Tensor LessEqual(const Tensor& a, const Tensor& b) { return a <= b; }
Tensor LogicalAnd(const Tensor& a, const Tensor& b) { return at::logical_and(a, b); }
Tensor LogicalOr(const Tensor& a, const Tensor& b) { return at::logical_or(a, b); }
Tensor Negative(const Tensor& x) { return -x; }
Tensor Absolute(const Tensor& x) { return at::abs(x); }
Tensor Exp(const Tensor& x) { return at::exp(x); }
Tensor Log(const Tensor& x) { return at::log(x); }
Tensor Sqrt(const Tensor& x) { return at::sqrt(x); }
Tensor Square(const Tensor& x) { return at::square(x); }
Tensor Tanh(const Tensor& x) { return at::tanh(x); }
Tensor Sigmoid(const Tensor& x) { return at::sigmoid(x); }
Tensor Relu(const Tensor& x) { return at::relu(x); }

constexpr std::array<LayerEntry, 25> kOperationsLayers{{
    {"ops.Add", MakeLayer<Binary<Add>>},
    {"ops.Subtract", MakeLayer<Binary<Subtract>>},
    {"ops.Multiply", MakeLayer<Binary<Multiply>>},
    {"ops.TrueDivide", MakeLayer<Binary<Divide>>},
    {"ops.Divide", MakeLayer<Binary<Divide>>},
    {"ops.Power", MakeLayer<Binary<Power>>},
    {"ops.Maximum", MakeLayer<Binary<Maximum>>},
    {"ops.Minimum", MakeLayer<Binary<Minimum>>},
    {"ops.Equal", MakeLayer<Binary<Equal>>},
    {"ops.NotEqual", MakeLayer<Binary<NotEqual>>},
    {"ops.Greater", MakeLayer<Binary<Greater>>},
    {"ops.GreaterEqual", MakeLayer<Binary<GreaterEqual>>},
    {"ops.Less", MakeLayer<Binary<Less>>},
    {"ops.LessEqual", MakeLayer<Binary<LessEqual>>},
    {"ops.LogicalAnd", MakeLayer<Binary<LogicalAnd>>},
    {"ops.LogicalOr", MakeLayer<Binary<LogicalOr>>},
    {"ops.Negative", MakeLayer<Unary<Negative>>},
    {"ops.Absolute", MakeLayer<Unary<Absolute>>},
    {"ops.Exp", MakeLayer<Unary<Exp>>},
    {"ops.Log", MakeLayer<Unary<Log>>},
    {"ops.Sqrt", MakeLayer<Unary<Sqrt>>},
    {"ops.Square", MakeLayer<Unary<Square>>},
    {"ops.Tanh", MakeLayer<Unary<Tanh>>},
    {"ops.Sigmoid", MakeLayer<Unary<Sigmoid>>},
    {"ops.Relu", MakeLayer<Unary<Relu>>},
}};

}  // namespace

std::span<const LayerEntry> OperationLayers() { return kOperationsLayers; }

}  // namespace elephas::keras
