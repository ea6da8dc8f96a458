// Lets the Python tests call the readers and writers of Keras' files with models that Keras
// describes.
//
//   read MODEL DESCRIPTION OUT     every weight by its path, optimizer slots as slot/NAME
//   weights FILE DESCRIPTION OUT   the same from a weights file
//   write OUT DESCRIPTION IN       writes a model from what read gives
//
// DESCRIPTION is JSON: {"tree", "layout", "optimizer", "config", "compile", "iterations"}.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "common/base/atomic_file.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/safetensors.h"
#include "worker/keras_file/keras_file.h"

namespace elephas {
namespace {

using keras_file::Object;
using nlohmann::json;

Object ReadTree(const json& json_tree) {
  Object object{
      json_tree.at("attribute"), json_tree.at("name"), json_tree.at("class_name"), {}, {}};
  for (const json& variable : json_tree.at("variables")) {
    object.variables.push_back({variable.at("path"),
                                variable.at("shape").get<std::vector<std::int64_t>>(),
                                variable.at("trainable").get<bool>()});
  }
  for (const json& child : json_tree.at("children")) object.children.push_back(ReadTree(child));
  return object;
}

struct Description {
  json document;
  Object tree;
  ModelLayout layout;
  std::unique_ptr<Optimizer> optimizer;  // null for none
};

Result<Description> ReadDescription(const std::string& path) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, std::uint64_t{1} << 30));
  Description out;
  out.document = json::parse(text);
  out.tree = ReadTree(out.document.at("tree"));
  ELEPHAS_ASSIGN_OR_RETURN(out.layout, ModelLayoutFromJson(out.document.at("layout")));
  const json optimizer = out.document.value("optimizer", json());
  if (!optimizer.is_null()) {
    ELEPHAS_ASSIGN_OR_RETURN(out.optimizer, Optimizer::FromConfig(optimizer));
  }
  return out;
}

Status Dump(const keras_file::SavedWeights& weights, const Description& model,
            std::map<std::string, std::string> metadata, const std::string& path) {
  std::vector<float> arena(static_cast<std::size_t>(model.layout.total_elements));
  ELEPHAS_RETURN_IF_ERROR(weights.Assign(model.tree, model.layout, arena));
  std::vector<safetensors::TensorInfo> tensors;
  std::vector<std::span<const std::byte>> data;
  for (const WeightLayout& weight : model.layout.weights) {
    tensors.push_back({weight.name, "F32", weight.shape});
    data.push_back(std::as_bytes(std::span(arena).subspan(static_cast<std::size_t>(weight.offset),
                                                          static_cast<std::size_t>(weight.size))));
  }
  keras_file::OptimizerState state;
  if (model.optimizer) {
    ELEPHAS_ASSIGN_OR_RETURN(state,
                             weights.ReadOptimizer(model.tree, model.layout, *model.optimizer));
    const std::vector<std::string> names = model.optimizer->SlotNames();
    for (std::size_t i = 0; i < names.size(); ++i) {
      tensors.push_back({"slot/" + names[i], "F32", {model.layout.trainable_elements}});
      data.push_back(std::as_bytes(std::span(state.slots[i])));
    }
    metadata["iterations"] = std::to_string(state.iterations);
    metadata["learning_rate"] = json(state.learning_rate.value_or(-1)).dump();
  }
  return safetensors::WriteFile(path, metadata, tensors, data);
}

std::uint64_t MaxBytes(const Description& model) {
  return keras_file::MaxWeightsBytes(model.layout.total_elements);
}

Status Read(const std::vector<std::string>& arguments) {
  ELEPHAS_ASSIGN_OR_RETURN(keras_file::ModelFile file, keras_file::ReadModelFile(arguments[0]));
  ELEPHAS_ASSIGN_OR_RETURN(Description model, ReadDescription(arguments[1]));
  keras_file::OrderLikeKeras(model.tree, file.config);
  if (!file.has_weights) return Invalid("no weights");
  ELEPHAS_ASSIGN_OR_RETURN(const keras_file::SavedWeights weights,
                           keras_file::ReadWeightsFile(arguments[0], MaxBytes(model)));
  return Dump(weights, model, {{"config", file.config.dump()}, {"compile", file.compile.dump()}},
              arguments[2]);
}

Status ReadWeights(const std::vector<std::string>& arguments) {
  ELEPHAS_ASSIGN_OR_RETURN(Description model, ReadDescription(arguments[1]));
  ELEPHAS_ASSIGN_OR_RETURN(const keras_file::SavedWeights weights,
                           keras_file::ReadWeightsFile(arguments[0], MaxBytes(model)));
  keras_file::OrderLikeKeras(model.tree, model.document.at("config"));
  model.optimizer = nullptr;
  return Dump(weights, model, {}, arguments[2]);
}

Result<std::vector<float>> Vector(const safetensors::File& file, const std::string& name,
                                  std::int64_t elements) {
  const safetensors::TensorInfo* tensor = file.header.Find(name);
  if (tensor == nullptr ||
      tensor->end - tensor->begin != static_cast<std::uint64_t>(elements) * 4) {
    return Invalid("no tensor '" + name + "' of that size");
  }
  std::vector<float> out(static_cast<std::size_t>(elements));
  std::memcpy(out.data(), file.Bytes(*tensor).data(), out.size() * sizeof(float));
  return out;
}

Status Write(const std::vector<std::string>& arguments) {
  ELEPHAS_ASSIGN_OR_RETURN(Description model, ReadDescription(arguments[1]));
  ELEPHAS_ASSIGN_OR_RETURN(const safetensors::File file, safetensors::ReadFile(arguments[2]));
  const json& config = model.document.at("config");
  keras_file::OrderLikeKeras(model.tree, config);
  std::vector<float> arena(static_cast<std::size_t>(model.layout.total_elements));
  for (const WeightLayout& weight : model.layout.weights) {
    ELEPHAS_ASSIGN_OR_RETURN(const std::vector<float> values,
                             Vector(file, weight.name, weight.size));
    std::copy(values.begin(), values.end(), arena.begin() + weight.offset);
  }
  std::vector<std::vector<float>> slots;
  keras_file::ModelToSave save{.config = config,
                               .compile = model.document.at("compile"),
                               .tree = model.tree,
                               .layout = model.layout,
                               .parameters = arena,
                               .optimizer = model.optimizer.get(),
                               .iterations = model.document.value("iterations", 0),
                               .slots = {}};
  if (model.optimizer) {
    for (const std::string& name : model.optimizer->SlotNames()) {
      ELEPHAS_ASSIGN_OR_RETURN(std::vector<float> slot,
                               Vector(file, "slot/" + name, model.layout.trainable_elements));
      slots.push_back(std::move(slot));
    }
    save.slots.assign(slots.begin(), slots.end());
  }
  return keras_file::WriteModelFile(arguments[0], save);
}

int Main(const std::vector<std::string>& words) {
  const std::string command = words.size() == 4 ? words[0] : "";
  const std::vector<std::string> arguments(words.begin() + (words.empty() ? 0 : 1), words.end());
  Status status;
  if (command == "read") {
    status = Read(arguments);
  } else if (command == "weights") {
    status = ReadWeights(arguments);
  } else if (command == "write") {
    status = Write(arguments);
  } else {
    std::cerr << "unknown subcommand\n";
    return 2;
  }
  if (status.ok()) return 0;
  std::cerr << CodeName(status.code()) << ": " << status.message() << '\n';
  return 1;
}

}  // namespace
}  // namespace elephas

int main(int count, char** words) { return elephas::Main({words + 1, words + count}); }
