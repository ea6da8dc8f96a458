// The objects of a Keras model that hold variables, as its builder tells them to the readers and
// writers of Keras' files. No LibTorch: only names, shapes and order.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace elephas::keras_file {

struct Variable {
  std::string path;                 // "dense/kernel": the weight's name in the ModelLayout
  std::vector<std::int64_t> shape;  // Keras'
  bool trainable = true;
};

// A layer, a model, or an object inside one, such as an LSTM's cell.
struct Object {
  // The attribute of its parent that holds it: "cell", "forward_layer", "query_dense". Several
  // children with one attribute are a list ("layers" of a model, "cells").
  std::string attribute;
  std::string name;                 // its Keras name: "lstm_cell"
  std::string class_name;           // Keras' Python class: "LSTMCell"
  std::vector<Variable> variables;  // its own, trainable ones first, each in order of creation
  std::vector<Object> children;     // in order of creation
};

// From any tree with the members of worker/keras/weights/weight.h's WeightGroup.
template <typename Group>
Object MakeTree(const Group& group) {
  Object object{group.attribute, group.name, group.class_name, {}, {}};
  for (const auto* weight : group.weights) {
    object.variables.push_back(
        {weight->path, {weight->shape.begin(), weight->shape.end()}, weight->trainable});
  }
  for (const auto& child : group.children) object.children.push_back(MakeTree(*child));
  return object;
}

// Where a variable lies in a file of Keras 3: dataset `index` of "<group>/vars".
struct Place {
  const Object* owner = nullptr;
  const Variable* variable = nullptr;
  std::string group;  // "layers/bidirectional/forward_layer/cell"; empty: the model's own
  std::size_t index = 0;
};

// Every variable of `root` (a model), in the order of keras.Model.variables. The rules are those of
// Keras' saving: children by attribute, members of a list by class in snake case, counted from the
// second on ("dense", "dense_1"). A variable of an object that two others share comes at each of
// its places: Keras saves it at the first, but looks at all of them when its config lost the
// sharing. Pointers are into `root`.
std::vector<Place> Keras3Places(const Object& root);

// All variables of an object and what is inside it, trainable ones first: the order of legacy HDF5
// files. A variable that two objects share comes once.
std::vector<const Variable*> LegacyVariables(const Object& object);

// The order of the optimizer's slots: model.trainable_variables.
std::vector<const Variable*> TrainableVariables(const Object& root);

// "Conv2DTranspose" -> "conv2d_transpose", as Keras does it.
std::string SnakeCase(const std::string& class_name);

// The class that Keras gives a model of this config: "Model" of old files is "Functional" today.
std::string PythonClass(const std::string& class_name);

}  // namespace elephas::keras_file
