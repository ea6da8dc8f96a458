#include "worker/keras/weights/weight.h"

#include <utility>

namespace elephas::keras {

Result<Weight*> WeightMaker::Add(std::string_view name, Shape shape, WeightOptions options) {
  const std::string path = group_.path + "/" + std::string(name);
  const Result<std::int64_t> elements = Elements(shape);
  if (!elements.ok()) return Invalid("weight '" + path + "': " + elements.status().message());
  Weight& weight = store_.emplace_back();
  weight.path = path;
  weight.shape = std::move(shape);
  weight.trainable = trainable_ && options.trainable;
  weight.initializer = std::move(options.initializer);
  weight.regularizer = std::move(options.regularizer);
  weight.constraint = std::move(options.constraint);
  group_.weights.push_back(&weight);
  return &weight;
}

WeightMaker WeightMaker::Inside(std::string_view attribute, std::string_view name,
                                std::string_view class_name, bool trainable) {
  WeightGroup& child = *group_.children.emplace_back(std::make_unique<WeightGroup>());
  child.attribute = attribute;
  child.name = name;
  child.class_name = class_name;
  child.path = group_.path.empty() ? std::string(name) : group_.path + "/" + std::string(name);
  return {store_, child, trainable_ && trainable};
}

}  // namespace elephas::keras
