// The order of model.layers, which Keras derives from the graph and not from the order of the
// config: file names ("dense", "dense_1") and the optimizer's slots follow it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "worker/keras_file/model_tree.h"

namespace elephas::keras_file {

// Layer names of a Functional model's `config` ({"layers", "input_layers", "output_layers"};
// inbound nodes as Keras 3 or Keras 2 wrote them) in the order of Keras' Function.operations: by
// falling depth (operations between a layer and the outputs), within a depth in the order in which
// a walk from the outputs meets them. Layers that no output needs are left out. Nothing when the
// config is not a graph: broken, or with cycles.
std::optional<std::vector<std::string>> FunctionalLayerOrder(const nlohmann::json& config);

// Sorts the "layers" children of every Functional model in the tree so. `model` is the JSON of the
// object ({"class_name", "config"}); what has no JSON or a strange one keeps its order.
void OrderLikeKeras(Object& object, const nlohmann::json& model);

// ["layer", node, tensor], perhaps with the arguments of the call behind: how configs name a tensor.
bool IsHistory(const nlohmann::json& value);

// The tree that readers and writers of files want, from the builder's (see MakeTree) and the
// model's JSON.
template <typename Group>
Object OrderedTree(const Group& group, const nlohmann::json& model) {
  Object object = MakeTree(group);
  OrderLikeKeras(object, model);
  return object;
}

}  // namespace elephas::keras_file
