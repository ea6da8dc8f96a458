// A model's graph as its JSON describes it, before any layer exists: one form for Sequential,
// Functional (Keras 3) and Functional (Keras 2).
#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/shape.h"

namespace elephas::keras {

// A tensor: output `tensor` of the `node`-th call of layer `layer` (index into
// GraphConfig::layers).
struct TensorRef {
  std::size_t layer = 0, node = 0, tensor = 0;
  friend auto operator<=>(const TensorRef&, const TensorRef&) = default;
};

// One argument of a call: tensors, or a constant.
struct ArgumentConfig {
  std::vector<TensorRef> tensors;
  nlohmann::json constant;  // null when there are tensors
};

struct NodeConfig {
  std::vector<ArgumentConfig> positional;
  std::map<std::string, ArgumentConfig> named;
  // The `mask` argument: one entry for each of the first inputs, empty for those without a mask.
  std::vector<std::optional<TensorRef>> masks;
};

struct LayerConfig {
  // {"class_name", "config", …}; it lives as long as the model's JSON.
  const nlohmann::json* json = nullptr;
  std::string name, class_name;
  std::string place;  // "layers[2] of model 'm'"
  bool is_input = false;
  Shape input_shape;        // of an input layer, batch axis included
  std::string input_dtype;  // of an input layer
  std::vector<NodeConfig> nodes;
};

struct GraphConfig {
  std::string name, class_name;
  bool trainable = true;
  std::vector<LayerConfig> layers;
  std::vector<TensorRef> inputs, outputs;
  // The names that the model itself gives (dict outputs); may be empty.
  std::vector<std::string> output_names;
};

// Reads `model` ({"class_name": "Sequential" | "Functional" | "Model", "config"}). kInvalid names
// the place of what is wrong. References are checked to exist; cycles are not looked for.
// `place` is where the model sits in another one; empty for the outermost.
Result<GraphConfig> ParseGraph(const nlohmann::json& model, const std::string& place);

}  // namespace elephas::keras
