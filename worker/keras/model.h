// A Keras model built in LibTorch from Keras' own JSON.
//
// Weights live in one flat float32 arena, [trainable | non-trainable] (model_layout.h); the layers
// hold views into it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/protocol.h"
#include "worker/keras/config/index_limit.h"

namespace elephas::keras {

struct WeightGroup;  // worker/keras/weights/weight.h

struct InputSpec {
  std::string name;                      // the Keras input layer's (or input's) name
  std::vector<std::int64_t> shape;       // without the batch axis; -1: unknown
  std::string dtype;                     // "float32", "int64", …
  std::vector<IndexLimit> index_limits;  // of the layers that look up its values
};
struct OutputSpec {
  std::string name;                 // the output layer's name
  std::vector<std::int64_t> shape;  // without the batch axis; -1: unknown
};

class Model {
 public:
  // `config` is what model.to_json() prints (Sequential or Functional, Keras 3; Keras 2 read too).
  // Initial weights are drawn with Keras' initializers from `seed`; the same seed gives the same
  // bits. kInvalid names the layer, its class and where it sits when something is not supported.
  static Result<std::unique_ptr<Model>> FromConfig(const nlohmann::json& config,
                                                   std::uint64_t seed);
  virtual ~Model() = default;

  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual const nlohmann::json& config() const = 0;
  [[nodiscard]] virtual const std::vector<InputSpec>& inputs() const = 0;
  [[nodiscard]] virtual const std::vector<OutputSpec>& outputs() const = 0;
  // Names, shapes and offsets; the optimizer and examples fields are left for the caller.
  [[nodiscard]] virtual const ModelLayout& layout() const = 0;
  // The same weights as a tree of Keras objects in Keras' order (worker/keras/weights/weight.h), for
  // readers and writers of Keras' files. The root stands for the model itself.
  [[nodiscard]] virtual const WeightGroup& weight_tree() const = 0;

  // The arena, float32 [total_elements], on the model's device. Write into it to set all weights.
  [[nodiscard]] virtual at::Tensor parameters() = 0;
  // Gradients of the trainable part, float32 [trainable_elements]; Zero with gradients().zero_().
  [[nodiscard]] virtual at::Tensor gradients() = 0;
  // Moves the arena; layers follow.
  virtual void To(at::Device device) = 0;

  // Inputs in inputs() order, batch first. `training` switches dropout and batch statistics; layers
  // then update their non-trainable weights in the arena. Random layers draw from LibTorch's
  // default generator: seed it before. Throws c10::Error for shapes that do not fit. Without
  // `training` no gradients are recorded.
  virtual std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, bool training) = 0;
  // Keras masks of the last Forward's outputs, in their order; undefined tensors for none. The
  // compiled loss asks for them.
  [[nodiscard]] virtual const std::vector<at::Tensor>& OutputMasks() const = 0;
  // Sum of all regularization penalties and activity losses of the last Forward; undefined tensor
  // when the model has none.
  virtual at::Tensor RegularizationLoss() = 0;
  // Applies weight constraints after an optimizer step.
  virtual void ApplyConstraints() = 0;
};

}  // namespace elephas::keras
