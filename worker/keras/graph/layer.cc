#include "worker/keras/graph/layer.h"

#include <array>

namespace elephas::keras {

const Call::Argument* Call::Find(std::string_view name) const {
  for (const Argument& argument : arguments) {
    if (argument.name == name) return &argument;
  }
  return nullptr;
}

bool Call::Flag(std::string_view name, bool fallback) const {
  const Argument* argument = Find(name);
  if (argument == nullptr || !argument->constant.is_boolean()) return fallback;
  return argument->constant.get<bool>();
}

int Call::Index(std::string_view name) const {
  const Argument* argument = Find(name);
  if (argument == nullptr || argument->count == 0) return -1;
  return static_cast<int>(argument->first);
}

std::span<const std::string_view> Layer::Parameters() const {
  static constexpr std::array<std::string_view, 1> kInputs{"inputs"};
  return kInputs;
}

Status Layer::Build(const Call&, const ShapeList&, WeightMaker&) { return OkStatus(); }

Status UnaryLayer::BuildFor(const Shape&, WeightMaker&) { return OkStatus(); }

Status UnaryLayer::Build(const Call&, const ShapeList& inputs, WeightMaker& weights) {
  if (inputs.size() != 1) {
    return Invalid("takes one input, not " + std::to_string(inputs.size()));
  }
  return BuildFor(inputs[0], weights);
}

Result<ShapeList> UnaryLayer::OutputShapes(const Call&, const ShapeList& inputs) const {
  if (inputs.size() != 1) {
    return Invalid("takes one input, not " + std::to_string(inputs.size()));
  }
  ELEPHAS_ASSIGN_OR_RETURN(Shape shape, OutputShape(inputs[0]));
  return ShapeList{std::move(shape)};
}

at::Tensor UnaryLayer::OutputMask(const Value&) { return {}; }

Values UnaryLayer::Run(const Call&, std::span<const Value> inputs, Step& step) {
  Values outputs(1);
  outputs[0].tensor = Compute(inputs[0].tensor, step);
  if (inputs[0].mask.defined()) outputs[0].mask = OutputMask(inputs[0]);
  return outputs;
}

}  // namespace elephas::keras
