#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "common/base/atomic_file.h"
#include "worker/files/zip_writer.h"
#include "worker/keras_file/compile_config.h"
#include "worker/keras_file/hdf5_writer.h"
#include "worker/keras_file/keras_file.h"
#include "worker/keras_file/modern_config.h"
#include "worker/keras_file/path.h"
#include "worker/keras_file/variable_store.h"

namespace elephas::keras_file {

namespace {

using nlohmann::json;

// The version whose format this is; Keras does not decide by it.
constexpr const char* kKerasVersion = "3.12.0";

std::string Text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Collects what the two layouts have in common: variables out of the arena, the optimizer's in
// order.
class StateWriter {
 public:
  StateWriter(const ModelToSave& model, const Object& tree, Hdf5Writer& file)
      : model_(model), tree_(tree), file_(file), store_(model.layout) {}

  Status WriteVariable(const std::string& path, const Variable& variable) {
    ELEPHAS_ASSIGN_OR_RETURN(const std::span<const float> values,
                             store_.Get(variable, model_.parameters));
    return file_.AddFloats(path, variable.shape, values);
  }

  // The optimizer's variables; `path_of` names the i-th.
  template <typename PathOf>
  Status WriteOptimizer(PathOf path_of) {
    const std::vector<OptimizerVariable> variables =
        OptimizerVariables(TrainableVariables(tree_), *model_.optimizer, model_.iterations);
    for (std::size_t i = 0; i < variables.size(); ++i) {
      ELEPHAS_RETURN_IF_ERROR(WriteOne(path_of(i, variables[i]), variables[i]));
    }
    return OkStatus();
  }

 private:
  Status WriteOne(const std::string& path, const OptimizerVariable& variable) {
    using Kind = OptimizerVariable::Kind;
    switch (variable.kind) {
      case Kind::kIterations:
        if (model_.iterations > INT32_MAX) return Invalid("too many steps for Keras' counter");
        return file_.AddInteger(path, static_cast<std::int32_t>(model_.iterations));
      case Kind::kLearningRate: {
        const auto rate = static_cast<float>(model_.optimizer->LearningRate(model_.iterations));
        return file_.AddFloats(path, {}, {&rate, 1});
      }
      case Kind::kScalar:
        return file_.AddFloats(path, {}, {&variable.value, 1});
      case Kind::kSlot:
        break;
    }
    const std::vector<std::string> names = model_.optimizer->SlotNames();
    for (std::size_t slot = 0; slot < names.size(); ++slot) {
      if (names[slot] != variable.slot) continue;
      ELEPHAS_ASSIGN_OR_RETURN(const std::span<const float> values,
                               store_.Get(*variable.variable, model_.slots.at(slot)));
      return file_.AddFloats(path, variable.variable->shape, values);
    }
    return Internal("the optimizer lacks slot '" + variable.slot + "'");
  }

  const ModelToSave& model_;
  const Object& tree_;
  Hdf5Writer& file_;
  VariableStore store_;
};

// ---- .keras

Result<std::string> Keras3Weights(const ModelToSave& model, const Object& tree) {
  ELEPHAS_ASSIGN_OR_RETURN(Hdf5Writer file, Hdf5Writer::Create());
  StateWriter state(model, tree, file);
  std::set<std::string> groups;
  const auto name_group = [&](const std::string& group, const std::string& name) -> Status {
    if (!groups.insert(group).second) return OkStatus();
    ELEPHAS_RETURN_IF_ERROR(file.AddGroup(group));
    return file.SetText(group, "name", name);
  };
  ELEPHAS_RETURN_IF_ERROR(name_group("vars", tree.name));
  for (const Place& place : Keras3Places(tree)) {
    const std::string vars = Join(place.group, "vars");
    ELEPHAS_RETURN_IF_ERROR(name_group(vars, place.owner->name));
    ELEPHAS_RETURN_IF_ERROR(
        state.WriteVariable(Join(vars, std::to_string(place.index)), *place.variable));
  }
  if (model.optimizer != nullptr) {
    const json config = model.optimizer->Config().value("config", json::object());
    ELEPHAS_RETURN_IF_ERROR(
        name_group("optimizer/vars", config.value("name", std::string("optimizer"))));
    ELEPHAS_RETURN_IF_ERROR(state.WriteOptimizer([](std::size_t i, const OptimizerVariable&) {
      return "optimizer/vars/" + std::to_string(i);
    }));
  }
  return std::move(file).Finish();
}

Status WriteArchive(const std::string& path, const ModelToSave& model, const Object& tree) {
  json config = ModernConfig(model.config);
  // Keras makes an optimizer of compile_config; its state is only read into one.
  config["compile_config"] = ToCompileConfig(model.compile);
  const std::string config_text = Text(config);
  // No date: the same model gives the same bytes.
  const std::string metadata = Text({{"keras_version", kKerasVersion}, {"written_by", "elephas"}});
  ELEPHAS_ASSIGN_OR_RETURN(const std::string weights, Keras3Weights(model, tree));
  return WriteZip(path, {{"metadata.json", std::as_bytes(std::span(metadata))},
                         {"config.json", std::as_bytes(std::span(config_text))},
                         {"model.weights.h5", std::as_bytes(std::span(weights))}});
}

// ---- .h5

// One group of weights under their paths, with the list that keeps their order.
Status WriteLegacyGroup(StateWriter& state, Hdf5Writer& file, const std::string& group,
                        const std::vector<const Variable*>& variables) {
  ELEPHAS_RETURN_IF_ERROR(file.AddGroup(group));
  std::vector<std::string> names;
  for (const Variable* variable : variables) {
    names.push_back(variable->path);
    ELEPHAS_RETURN_IF_ERROR(state.WriteVariable(Join(group, variable->path), *variable));
  }
  return file.SetTexts(group, "weight_names", names);
}

Status WriteLegacyWeights(StateWriter& state, Hdf5Writer& file, const Object& tree) {
  const std::string root = "model_weights";
  ELEPHAS_RETURN_IF_ERROR(file.AddGroup(root));
  std::vector<std::string> layers;
  for (const Object& layer : tree.children) layers.push_back(layer.name);
  ELEPHAS_RETURN_IF_ERROR(file.SetTexts(root, "layer_names", layers));
  ELEPHAS_RETURN_IF_ERROR(file.SetText(root, "keras_version", kKerasVersion));
  ELEPHAS_RETURN_IF_ERROR(file.SetText(root, "backend", "elephas"));
  for (const Object& layer : tree.children) {
    ELEPHAS_RETURN_IF_ERROR(
        WriteLegacyGroup(state, file, Join(root, layer.name), LegacyVariables(layer)));
  }
  return WriteLegacyGroup(state, file, root + "/top_level_model_weights", {});
}

Status WriteLegacyOptimizer(StateWriter& state, Hdf5Writer& file, const ModelToSave& model) {
  const std::string root = "optimizer_weights";
  const json config = model.optimizer->Config().value("config", json::object());
  const std::string prefix = config.value("name", std::string("optimizer"));
  std::vector<std::string> names;
  const auto path_of = [&](std::size_t i, const OptimizerVariable& variable) {
    using Kind = OptimizerVariable::Kind;
    std::string name;
    switch (variable.kind) {
      case Kind::kIterations:
        name = "iteration";
        break;
      case Kind::kLearningRate:
        name = "learning_rate";
        break;
      case Kind::kScalar:
        name = "scalar_" + std::to_string(i);
        break;
      case Kind::kSlot:
        name = variable.variable->path;
        for (char& c : name) c = c == '/' ? '_' : c;
        name += "_" + variable.slot;
        break;
    }
    names.push_back(prefix + "/" + name);
    return root + "/" + names.back();
  };
  ELEPHAS_RETURN_IF_ERROR(file.AddGroup(root));
  ELEPHAS_RETURN_IF_ERROR(state.WriteOptimizer(path_of));
  return file.SetTexts(root, "weight_names", names);
}

Status WriteLegacy(const std::string& path, const ModelToSave& model, const Object& tree) {
  ELEPHAS_ASSIGN_OR_RETURN(Hdf5Writer file, Hdf5Writer::Create());
  StateWriter state(model, tree, file);
  json config = ModernConfig(model.config);
  config.erase("compile_config");
  ELEPHAS_RETURN_IF_ERROR(file.SetText("", "keras_version", kKerasVersion));
  ELEPHAS_RETURN_IF_ERROR(file.SetText("", "backend", "elephas"));
  ELEPHAS_RETURN_IF_ERROR(file.SetText("", "model_config", Text(config)));
  if (!model.compile.is_null()) {
    ELEPHAS_RETURN_IF_ERROR(
        file.SetText("", "training_config", Text(ToTrainingConfig(model.compile))));
  }
  ELEPHAS_RETURN_IF_ERROR(WriteLegacyWeights(state, file, tree));
  if (model.optimizer != nullptr) {
    ELEPHAS_RETURN_IF_ERROR(WriteLegacyOptimizer(state, file, model));
  }
  ELEPHAS_ASSIGN_OR_RETURN(const std::string image, std::move(file).Finish());
  return WriteWholeFile(path, image);
}

}  // namespace

Status WriteModelFile(const std::string& path, const ModelToSave& model) {
  if (!model.config.is_object()) return Invalid(path + ": the model has no config");
  const bool legacy = path.ends_with(".h5") || path.ends_with(".hdf5");
  const Status status =
      legacy ? WriteLegacy(path, model, model.tree) : WriteArchive(path, model, model.tree);
  return status.message().starts_with(path) ? status : status.Annotate(path);
}

}  // namespace elephas::keras_file
