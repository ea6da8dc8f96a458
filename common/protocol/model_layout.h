// What the first worker tells the parameter server about the job: the flat parameters, the
// optimizer and the dataset. Immutable once accepted; every later worker must bring an equal one.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/optimizer/optimizer.h"

namespace elephas {

struct WeightLayout {
  std::string name;                 // "dense/kernel": layer/weight, unique
  std::vector<std::int64_t> shape;  // Keras' shape
  bool trainable = true;
  std::int64_t offset = 0, size = 0;  // elements in the flat arena
  friend bool operator==(const WeightLayout&, const WeightLayout&) = default;
};

struct ModelLayout {
  std::vector<WeightLayout> weights;  // trainable ones first; offsets without gaps
  std::int64_t trainable_elements = 0;
  std::int64_t total_elements = 0;
  nlohmann::json optimizer;             // Optimizer::Config(); null when the task does not train
  std::vector<std::string> slot_names;  // Optimizer::SlotNames()
  std::int64_t examples = 0;            // rows in the dataset, validation included
  // Of metrics whose class says so: true when a larger value is the better one. Callbacks with mode
  // auto look here. By the names of the training metrics, without "val_".
  std::map<std::string, bool> larger_is_better;
  friend bool operator==(const ModelLayout&, const ModelLayout&) = default;
};

nlohmann::json ToJson(const ModelLayout& layout);
// Checks offsets, sizes, overflow, unique names and order; kInvalid names the weight.
Result<ModelLayout> ModelLayoutFromJson(const nlohmann::json& input);
// The trainable weights as the optimizer wants them.
std::vector<WeightSlice> TrainableSlices(const ModelLayout& layout);

}  // namespace elephas
