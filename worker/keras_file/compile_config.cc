#include "worker/keras_file/compile_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>

namespace elephas::keras_file {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 5> kWords = {"optimizer", "loss", "loss_weights", "metrics",
                                                    "weighted_metrics"};

bool IsObject(const json& value) { return value.is_object() && value.contains("class_name"); }

// {"class_name": "function", "config": "mean_squared_error", …} -> "mean_squared_error", anywhere.
json WithoutFunctions(const json& value) {
  if (IsObject(value)) {
    const json& config = value.value("config", json());
    if (value["class_name"] == "function" && config.is_string()) return config;
    return value;
  }
  if (!value.is_structured()) return value;
  json out = value;
  for (json& item : out) item = WithoutFunctions(item);
  return out;
}

// Keras 2 wraps functions as metrics: {"class_name": "MeanMetricWrapper", "config": {"name":
// "accuracy", "fn": "categorical_accuracy"}}.
json WithoutWrappers(const json& value) {
  if (IsObject(value)) {
    const json config = value.value("config", json::object());
    if (value["class_name"] != "MeanMetricWrapper" || !config.is_object()) return value;
    const json name = config.value("name", json());
    // Resolved anew from the shapes. "crossentropy" is not: Keras 3 knows it as a loss alone.
    if (name == "accuracy" || name == "acc") return name;
    return config.contains("fn") ? config["fn"] : name;
  }
  if (!value.is_structured()) return value;
  json out = value;
  for (json& item : out) item = WithoutWrappers(item);
  return out;
}

// Keras 2 took "crossentropy" and "ce" as metrics too, and chose by shapes as for the loss. What
// the model was trained with tells the same.
json WithCrossentropy(const json& value, const json& loss) {
  if (IsObject(value)) return value;
  if (value.is_structured()) {
    json out = value;
    for (json& item : out) item = WithCrossentropy(item, loss);
    return out;
  }
  if (value != "crossentropy" && value != "ce") return value;
  const json name = IsObject(loss) ? loss["class_name"] : loss;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kLosses = {
      {{"BinaryCrossentropy", "binary_crossentropy"},
       {"CategoricalCrossentropy", "categorical_crossentropy"},
       {"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"}}};
  for (const auto& [class_name, function] : kLosses) {
    if (name == class_name || name == function) return function;
  }
  return value;
}

// Losses of Keras 2 in today's words: `auto` meant the mean over the batch where no strategy
// distributes, and the function is known by the class. The numbers of shared objects count anew in
// each file of Keras 3.
json WithoutOldFields(const json& value) {
  if (!value.is_structured()) return value;
  json out = value;
  if (IsObject(value)) {
    out.erase("shared_object_id");
    if (!out.contains("config") || !out["config"].is_object()) return out;
    json& config = out["config"];
    if (config.value("reduction", json()) == "auto") config["reduction"] = "sum_over_batch_size";
    const json& name = out["class_name"];
    const bool wrapper =
        name.is_string() && name.get_ref<const std::string&>().ends_with("Wrapper");
    if (!wrapper) config.erase("fn");
    return out;
  }
  for (json& item : out) item = WithoutOldFields(item);
  return out;
}

// Keras 3 cannot load a legacy file with these short names: it looks them up as metric classes.
json WithLongNames(const json& value) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames = {
      {{"mse", "mean_squared_error"},
       {"mae", "mean_absolute_error"},
       {"mape", "mean_absolute_percentage_error"},
       {"msle", "mean_squared_logarithmic_error"}}};
  if (value.is_string()) {
    std::string name = value.get<std::string>();
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const auto& [shortened, full] : kNames) {
      if (name == shortened) return full;
    }
    return value;
  }
  if (!value.is_structured() || IsObject(value)) return value;
  json out = value;
  for (json& item : out) item = WithLongNames(item);
  return out;
}

// Objects get `module`; those inside an optimizer's config are schedules, or the optimizer that a
// loss scale wraps.
json WithModule(const json& value, std::string_view module) {
  if (!value.is_structured()) return value;
  json out = value;
  if (IsObject(value)) {
    if (!out.contains("config") || out["config"].is_null()) out["config"] = json::object();
    if (!out.contains("module")) {
      out["module"] = module;
      out["registered_name"] = nullptr;
    }
    if (module != "keras.optimizers" || !out["config"].is_object()) return out;
    for (const auto& [key, inner] : {std::pair{"learning_rate", "keras.optimizers.schedules"},
                                     std::pair{"inner_optimizer", "keras.optimizers"}}) {
      if (out["config"].contains(key)) out["config"][key] = WithModule(out["config"][key], inner);
    }
    return out;
  }
  for (json& item : out) item = WithModule(item, module);
  return out;
}

}  // namespace

json FromCompileConfig(const json& compile_config) {
  if (!compile_config.is_object()) return nullptr;
  json out = json::object();
  for (const std::string_view word : kWords) {
    const auto it = compile_config.find(word);
    if (it != compile_config.end() && !it->is_null())
      out[word] = WithoutOldFields(WithoutFunctions(*it));
  }
  if (out.empty()) return nullptr;  // Keras writes {} for a model that is not compiled
  return out;
}

json FromTrainingConfig(const json& training_config) {
  if (!training_config.is_object()) return nullptr;
  json source = training_config;
  if (source.contains("optimizer_config")) source["optimizer"] = source["optimizer_config"];
  json out = FromCompileConfig(source);
  if (out.contains("optimizer") && IsObject(out["optimizer"])) {
    json& name = out["optimizer"]["class_name"];
    constexpr std::string_view kCustom = "Custom>";
    if (name.is_string() && name.get_ref<const std::string&>().starts_with(kCustom)) {
      name = name.get_ref<const std::string&>().substr(kCustom.size());
    }
  }
  for (const char* word : {"metrics", "weighted_metrics"}) {
    if (!out.contains(word)) continue;
    json metrics = WithCrossentropy(WithoutWrappers(out[word]), out.value("loss", json()));
    // Keras 2 keeps a list per output, of the only output too.
    if (metrics.is_array() && metrics.size() == 1 && metrics[0].is_array()) {
      json only = metrics[0];
      metrics = std::move(only);
    }
    out[word] = std::move(metrics);
  }
  return out;
}

json ToCompileConfig(const json& compile) {
  if (!compile.is_object()) return nullptr;
  json out = json::object();
  for (const std::string_view word : kWords) {
    out[word] = compile.contains(word) ? compile[word] : json();
  }
  out["optimizer"] = WithModule(out["optimizer"], "keras.optimizers");
  out["loss"] = WithModule(out["loss"], "keras.losses");
  out["metrics"] = WithModule(out["metrics"], "keras.metrics");
  out["weighted_metrics"] = WithModule(out["weighted_metrics"], "keras.metrics");
  // compile() has its own idea of a missing optimizer: none given means its default, rmsprop.
  if (out["optimizer"].is_null()) out.erase("optimizer");
  return out;
}

json ToTrainingConfig(const json& compile) {
  json out = ToCompileConfig(compile);
  if (!out.is_object()) return nullptr;
  for (const char* word : {"loss", "metrics", "weighted_metrics"}) {
    out[word] = WithLongNames(out[word]);
  }
  json optimizer = out.value("optimizer", json("rmsprop"));
  out.erase("optimizer");
  if (optimizer.is_string()) {
    optimizer = {{"class_name", std::move(optimizer)}, {"config", json::object()}};
  }
  out["optimizer_config"] = std::move(optimizer);
  return out;
}

}  // namespace elephas::keras_file
