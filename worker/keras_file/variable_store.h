// Single variables between files and the flat arena, and the optimizer's variables in Keras' order.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/model_layout.h"
#include "worker/keras_file/hdf5_reader.h"
#include "worker/keras_file/model_tree.h"

namespace elephas::keras_file {

struct OptimizerState {
  std::int64_t iterations = 0;
  std::optional<float> learning_rate;  // the variable's value; none when it follows a schedule
  // As Optimizer::SlotNames(), each over the trainable arena.
  std::vector<std::vector<float>> slots;
};

// Finds variables in the arena by name. `layout` must outlive it.
class VariableStore {
 public:
  explicit VariableStore(const ModelLayout& layout);
  // Copies; integers become floats. kInvalid when the model's layout lacks it or the shapes differ.
  Status Set(const Variable& variable, const Dataset& dataset, std::span<float> arena) const;
  // The variable's part of the arena.
  Result<std::span<const float>> Get(const Variable& variable, std::span<const float> arena) const;
  Result<const WeightLayout*> Find(const Variable& variable) const;

 private:
  std::map<std::string_view, const WeightLayout*> weights_;
};

// One of keras.Optimizer.variables.
struct OptimizerVariable {
  enum class Kind { kIterations, kLearningRate, kSlot, kScalar } kind = Kind::kSlot;
  std::string slot;                    // kSlot: one of SlotNames()
  const Variable* variable = nullptr;  // kSlot: whose
  float value = 0;                     // kScalar
};

// keras.Optimizer.variables of an optimizer built for `trainable`, in order (see
// common/optimizer/optimizer.h).
std::vector<OptimizerVariable> OptimizerVariables(const std::vector<const Variable*>& trainable,
                                                  const Optimizer& optimizer,
                                                  std::int64_t iterations);

Result<OptimizerState> UnpackOptimizer(const std::vector<const Dataset*>& saved,
                                       const std::vector<const Variable*>& trainable,
                                       const ModelLayout& layout, const Optimizer& optimizer);

}  // namespace elephas::keras_file
