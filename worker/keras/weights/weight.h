// The weights that layers own, and how they come to lie in the model's flat arena.
//
// Layers ask a WeightMaker for weights while they are built; the tree of WeightGroups that this
// leaves behind mirrors Keras' objects (a Bidirectional has a forward_layer, which has a cell), and
// is what readers and writers of Keras' files walk. The arena is laid out from it afterwards.
#pragma once

#include <ATen/ATen.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/shape.h"
#include "worker/keras/weights/initializer.h"
#include "worker/keras/weights/regularizer.h"

namespace elephas::keras {

// One variable of a layer. Shape and layout are Keras' (Dense [in, out], Conv HWIO, …).
struct Weight {
  std::string path;  // "dense/kernel"
  Shape shape;
  bool trainable = true;
  Initializer initializer;
  Regularizer regularizer;
  Constraint constraint;
  // A view into the arena; a leaf with a gradient when trainable. Bound once the model is whole.
  at::Tensor tensor;
};

// The weights of one Keras object and of the objects inside it, in Keras' order.
struct WeightGroup {
  // The attribute that holds it in its parent: "cell", "query_dense", "layers".
  std::string attribute;
  std::string name;              // its Keras name: "lstm_cell"
  std::string class_name;        // "LSTMCell"
  std::string path;              // "lstm/lstm_cell"
  bool random = false;           // Keras keeps a seed generator in it (Dropout and the like)
  std::vector<Weight*> weights;  // own variables, in order of creation
  std::vector<std::unique_ptr<WeightGroup>> children;  // in order of creation
};

// What a weight is besides its name and shape.
struct WeightOptions {
  Initializer initializer;
  bool trainable = true;
  Regularizer regularizer = {};
  Constraint constraint = {};
};

// Creates weights below one group. Refers to a store and a group that outlive it.
class WeightMaker {
 public:
  // `trainable` is false inside a layer or model that is frozen as a whole.
  WeightMaker(std::deque<Weight>& store, WeightGroup& group, bool trainable)
      : store_(store), group_(group), trainable_(trainable) {}

  // The weight lives as long as the model. kInvalid when its shape is not known or too large.
  Result<Weight*> Add(std::string_view name, Shape shape, WeightOptions options);
  // Weights of an object inside this one.
  WeightMaker Inside(std::string_view attribute, std::string_view name, std::string_view class_name,
                     bool trainable = true);
  WeightGroup& group() { return group_; }
  [[nodiscard]] bool trainable() const { return trainable_; }

 private:
  std::deque<Weight>& store_;  // addresses stay valid
  WeightGroup& group_;
  bool trainable_;
};

}  // namespace elephas::keras
