#include "worker/keras_file/variable_store.h"

#include <algorithm>
#include <utility>

namespace elephas::keras_file {

namespace {

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return out + "]";
}

void Copy(const Dataset& dataset, std::span<float> to) {
  if (dataset.integer) {
    std::transform(dataset.ints.begin(), dataset.ints.end(), to.begin(),
                   [](std::int64_t value) { return static_cast<float>(value); });
  } else {
    std::copy(dataset.floats.begin(), dataset.floats.end(), to.begin());
  }
}

std::size_t Elements(const Dataset& dataset) {
  return dataset.integer ? dataset.ints.size() : dataset.floats.size();
}

}  // namespace

VariableStore::VariableStore(const ModelLayout& layout) {
  for (const WeightLayout& weight : layout.weights) weights_.emplace(weight.name, &weight);
}

Result<const WeightLayout*> VariableStore::Find(const Variable& variable) const {
  const auto it = weights_.find(variable.path);
  if (it == weights_.end()) return Internal("the layout lacks weight '" + variable.path + "'");
  return it->second;
}

Status VariableStore::Set(const Variable& variable, const Dataset& dataset,
                          std::span<float> arena) const {
  ELEPHAS_ASSIGN_OR_RETURN(const WeightLayout* weight, Find(variable));
  if (dataset.shape != variable.shape) {
    return Invalid("weight '" + variable.path + "' has shape " + ShapeText(dataset.shape) +
                   " in the file, the model wants " + ShapeText(variable.shape));
  }
  Copy(dataset, arena.subspan(static_cast<std::size_t>(weight->offset),
                              static_cast<std::size_t>(weight->size)));
  return OkStatus();
}

Result<std::span<const float>> VariableStore::Get(const Variable& variable,
                                                  std::span<const float> arena) const {
  ELEPHAS_ASSIGN_OR_RETURN(const WeightLayout* weight, Find(variable));
  return arena.subspan(static_cast<std::size_t>(weight->offset),
                       static_cast<std::size_t>(weight->size));
}

std::vector<OptimizerVariable> OptimizerVariables(const std::vector<const Variable*>& trainable,
                                                  const Optimizer& optimizer,
                                                  std::int64_t iterations) {
  using Kind = OptimizerVariable::Kind;
  std::vector<OptimizerVariable> out = {{Kind::kIterations, {}, nullptr, 0}};
  if (!optimizer.HasSchedule()) out.push_back({Kind::kLearningRate, {}, nullptr, 0});
  for (const std::vector<std::string>& group : optimizer.SlotGroups()) {
    for (const Variable* variable : trainable) {
      for (const std::string& slot : group) out.push_back({Kind::kSlot, slot, variable, 0});
    }
  }
  for (const float value : optimizer.TrailingScalars(iterations)) {
    out.push_back({Kind::kScalar, {}, nullptr, value});
  }
  return out;
}

Result<OptimizerState> UnpackOptimizer(const std::vector<const Dataset*>& saved,
                                       const std::vector<const Variable*>& trainable,
                                       const ModelLayout& layout, const Optimizer& optimizer) {
  const std::vector<OptimizerVariable> expected = OptimizerVariables(trainable, optimizer, 0);
  // A model that was compiled but never trained is saved without slots; they begin anew.
  const bool untrained = saved.size() == (optimizer.HasSchedule() ? 1U : 2U);
  if (saved.size() != expected.size() && !untrained) {
    return Invalid("the file holds " + std::to_string(saved.size()) +
                   " optimizer variables, the model's optimizer has " +
                   std::to_string(expected.size()));
  }
  OptimizerState state;
  const std::vector<std::string> names = optimizer.SlotNames();
  for (std::size_t i = 0; i < names.size(); ++i) {
    state.slots.emplace_back(static_cast<std::size_t>(layout.trainable_elements),
                             optimizer.SlotInitialValue(i));
  }
  const VariableStore store(layout);
  for (std::size_t i = 0; i < saved.size(); ++i) {
    const OptimizerVariable& variable = expected[i];
    const Dataset& dataset = *saved[i];
    const auto fails = [&](const std::string& why) {
      return Invalid("optimizer variable " + std::to_string(i) + ": " + why);
    };
    if (variable.kind == OptimizerVariable::Kind::kSlot) {
      const auto slot = std::find(names.begin(), names.end(), variable.slot);
      if (slot == names.end()) return Internal("the optimizer lacks slot '" + variable.slot + "'");
      const Status status = store.Set(*variable.variable, dataset,
                                      state.slots[static_cast<std::size_t>(slot - names.begin())]);
      if (!status.ok()) return fails(status.message());
      continue;
    }
    if (Elements(dataset) != 1) return fails("one number is expected");
    const double value = dataset.integer ? static_cast<double>(dataset.ints[0])
                                         : static_cast<double>(dataset.floats[0]);
    if (variable.kind == OptimizerVariable::Kind::kIterations) {
      constexpr double kMax = 9e15;
      if (!(value >= 0 && value <= kMax)) return fails("not a count of steps");
      state.iterations = static_cast<std::int64_t>(value);
    } else if (variable.kind == OptimizerVariable::Kind::kLearningRate) {
      state.learning_rate = static_cast<float>(value);
    }
  }
  return state;
}

}  // namespace elephas::keras_file
