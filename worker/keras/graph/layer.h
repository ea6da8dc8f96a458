// What a layer is to the graph that calls it.
//
// A layer is made from its config (layer_table.h), built once with the shapes of its first call,
// and then run. The graph does everything that layers have in common: argument lists, masks,
// casting of integer inputs, activity regularizers.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/config_reader.h"
#include "worker/keras/config/index_limit.h"
#include "worker/keras/config/shape.h"
#include "worker/keras/weights/regularizer.h"
#include "worker/keras/weights/weight.h"

namespace elephas::keras {

// A tensor on an edge of the graph. `mask` is Keras' (true: keep), undefined when there is none.
struct Value {
  at::Tensor tensor;
  at::Tensor mask;
};
using Values = std::vector<Value>;

// How one node calls its layer; fixed when the graph is built.
struct Call {
  struct Argument {
    std::string name;       // of the parameter in the layer's Python call()
    std::size_t first = 0;  // its tensors are inputs [first, first + count)
    std::size_t count = 0;
    nlohmann::json constant;  // what else was given; null when tensors were
  };
  std::vector<Argument> arguments;

  // Null when the parameter was not given.
  [[nodiscard]] const Argument* Find(std::string_view name) const;
  // The parameter's constant as a boolean; `fallback` when not given.
  [[nodiscard]] bool Flag(std::string_view name, bool fallback = false) const;
  // Index of the parameter's only tensor among the inputs, -1 when not given.
  [[nodiscard]] int Index(std::string_view name) const;
};

// What one forward pass hands through all layers.
struct Step {
  bool training = false;
  std::vector<at::Tensor> losses;  // activity regularization
};

class Layer {
 public:
  virtual ~Layer() = default;

  // Set by the table from the config's common fields.
  struct Identity {
    std::string name, class_name;
    bool trainable = true;
    Regularizer activity_regularizer;
  };
  Identity identity;

  // The parameters of the Python call(), in order, those apart that every layer has (mask,
  // training).
  [[nodiscard]] virtual std::span<const std::string_view> Parameters() const;
  // Creates weights and sublayers. Called once, before everything below.
  virtual Status Build(const Call& call, const ShapeList& inputs, WeightMaker& weights);
  // Shapes of the outputs for inputs of these shapes (batch axis included); kInvalid says why the
  // inputs do not fit.
  [[nodiscard]] virtual Result<ShapeList> OutputShapes(const Call& call,
                                                       const ShapeList& inputs) const = 0;
  virtual Values Run(const Call& call, std::span<const Value> inputs, Step& step) = 0;
  // False: integer inputs become float32 before Run.
  [[nodiscard]] virtual bool TakesIntegers() const { return false; }
  // The layers that use the values of this input as indices (Embedding), and how large those may
  // be: a dataset is checked against them before training. The number counts the inputs.
  [[nodiscard]] virtual std::vector<IndexLimit> IndexLimits(std::size_t) const { return {}; }
  // While training, a row's output depends on the other rows of the batch (batch normalization).
  [[nodiscard]] virtual bool MixesRows() const { return false; }
};

// One tensor in, one out.
class UnaryLayer : public Layer {
 public:
  Status Build(const Call& call, const ShapeList& inputs, WeightMaker& weights) final;
  [[nodiscard]] Result<ShapeList> OutputShapes(const Call& call,
                                               const ShapeList& inputs) const final;
  Values Run(const Call& call, std::span<const Value> inputs, Step& step) override;

  virtual Status BuildFor(const Shape& input, WeightMaker& weights);
  [[nodiscard]] virtual Result<Shape> OutputShape(const Shape& input) const { return input; }
  virtual at::Tensor Compute(const at::Tensor& x, Step& step) = 0;
  // The output's mask, undefined for none. Called only when the input has one.
  virtual at::Tensor OutputMask(const Value& input);
};

// A unary layer that hands its input's mask on (supports_masking in Keras).
class MaskPassingLayer : public UnaryLayer {
 public:
  at::Tensor OutputMask(const Value& input) override { return input.mask; }
};

}  // namespace elephas::keras
