#include "worker/keras_file/modern_config.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "worker/files/printable.h"
#include "worker/keras_file/layer_order.h"

namespace elephas::keras_file {

namespace {

using nlohmann::json;

constexpr std::string_view kAnyLayer = "*";

// An option that Keras 2 wrote and Keras 3 does not know, and the value at which it means nothing.
struct OldOption {
  std::string_view class_name;
  std::string_view option;
  enum class When { kAlways, kNull, kFalse, kOne } when = When::kAlways;
};

using When = OldOption::When;

constexpr std::array kOldOptions = std::to_array<OldOption>({
    {kAnyLayer, "dynamic", When::kFalse},
    {"InputLayer", "ragged", When::kFalse},
    {"InputLayer", "type_spec", When::kNull},
    // How it was computed, not what.
    {"LSTM", "implementation"},
    {"GRU", "implementation"},
    {"SimpleRNN", "implementation"},
    {"LSTMCell", "implementation"},
    {"GRUCell", "implementation"},
    {"SimpleRNNCell", "implementation"},
    {"RNN", "implementation"},
    {"LSTM", "time_major", When::kFalse},
    {"GRU", "time_major", When::kFalse},
    {"SimpleRNN", "time_major", When::kFalse},
    {"RNN", "time_major", When::kFalse},
    {"LSTM", "num_constants", When::kNull},
    {"GRU", "num_constants", When::kNull},
    {"SimpleRNN", "num_constants", When::kNull},
    {"RNN", "num_constants", When::kNull},
    {"Bidirectional", "num_constants", When::kNull},
    {"Embedding", "input_length"},
    {"BatchNormalization", "fused"},
    {"BatchNormalization", "renorm", When::kFalse},
    {"BatchNormalization", "virtual_batch_size", When::kNull},
    {"BatchNormalization", "adjustment", When::kNull},
    // Repeats of the shapes that stand in the graph.
    {"MultiHeadAttention", "query_shape"},
    {"MultiHeadAttention", "key_shape"},
    {"MultiHeadAttention", "value_shape"},
    // Inherited from Conv, without effect.
    {"Conv1DTranspose", "groups", When::kOne},
    {"Conv2DTranspose", "groups", When::kOne},
    {"Conv3DTranspose", "groups", When::kOne},
    {"DepthwiseConv1D", "groups", When::kOne},
    {"DepthwiseConv2D", "groups", When::kOne},
    {"SeparableConv1D", "groups", When::kOne},
    {"SeparableConv2D", "groups", When::kOne},
    {"SeparableConv1D", "kernel_initializer"},
    {"SeparableConv1D", "kernel_regularizer", When::kNull},
    {"SeparableConv1D", "kernel_constraint", When::kNull},
    {"SeparableConv2D", "kernel_initializer"},
    {"SeparableConv2D", "kernel_regularizer", When::kNull},
    {"SeparableConv2D", "kernel_constraint", When::kNull},
});

bool Applies(When when, const json& value) {
  switch (when) {
    case When::kAlways:
      return true;
    case When::kNull:
      return value.is_null();
    case When::kFalse:
      return value.is_null() || value == false;
    case When::kOne:
      return value.is_null() || value == 1;
  }
  return false;
}

std::string Text(const json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool IsLayer(const json& value) {
  return !Text(value, "class_name").empty() && value.contains("config");
}

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

json KerasTensor(const json& history) {
  // Keras finds the tensor by its history and forgets shape and dtype.
  return {{"class_name", "__keras_tensor__"},
          {"config",
           {{"shape", json::array()},
            {"dtype", "float32"},
            {"keras_history", json::array({history[0], history[1], history[2]})}}}};
}

json Argument(const json& value) {
  if (IsHistory(value) && value.size() == 3) return KerasTensor(value);
  if (!value.is_array() || value.empty() || !IsHistory(value[0])) return value;
  json tensors = json::array();
  for (const json& item : value) tensors.push_back(Argument(item));
  return tensors;
}

// [["layer", 0, 0, {…}], …] -> {"args": […], "kwargs": {…}}; anything else as it is.
json ModernCall(const json& call, const std::string& class_name) {
  if (!call.is_array() || call.empty()) return call;
  const json items = IsHistory(call) ? json::array({call}) : call;
  json tensors = json::array();
  json named = json::object();
  for (const json& item : items) {
    if (!IsHistory(item)) return call;
    tensors.push_back(KerasTensor(item));
    if (item.size() < 4 || item[3].is_null()) continue;
    if (!item[3].is_object()) return call;
    for (const auto& [name, value] : item[3].items()) named[name] = Argument(value);
  }
  json args = json::array();
  if (tensors.size() > 1 &&
      IsOneOf(class_name, {"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"})) {
    // Keras 2 joined a sequence and its initial state into one list.
    args.push_back(tensors[0]);
    tensors.erase(0);
    named["initial_state"] = std::move(tensors);
  } else if (tensors.size() == 1) {
    args.push_back(tensors[0]);
  } else {
    args.push_back(std::move(tensors));
  }
  return {{"args", std::move(args)}, {"kwargs", std::move(named)}};
}

// Keras 2 wrote `dtype` into initializers, which Keras 3's do not take.
void DropInitializerTypes(json& config) {
  for (const auto& [option, value] : config.items()) {
    if (option.ends_with("initializer") && IsLayer(value) && value["config"].is_object()) {
      value["config"].erase("dtype");
    }
  }
}

void DropOldOptions(const std::string& class_name, json& config) {
  if (class_name == "BatchNormalization" && Applies(When::kFalse, config.value("renorm", json()))) {
    config.erase("renorm_clipping");
    config.erase("renorm_momentum");
  }
  for (const OldOption& old : kOldOptions) {
    if (old.class_name != kAnyLayer && old.class_name != class_name) continue;
    const auto it = config.find(old.option);
    if (it != config.end() && Applies(old.when, *it)) config.erase(it);
  }
}

class Modernizer {
 public:
  // `layer` may also be a whole model.
  void Layer(json& layer) {
    if (!IsLayer(layer)) return;
    const std::string class_name = Text(layer, "class_name");
    if (class_name == "Sequential") return Sequential(layer);
    if (class_name == "Functional" || class_name == "Model") return Functional(layer);
    SetModule(layer, "keras.layers", nullptr);
    json& config = layer["config"];
    if (!config.is_object()) return;
    // Keras before 2.1.3 had no other GRU, and did not say so.
    if (IsOneOf(class_name, {"GRU", "GRUCell"}) && config.contains("implementation") &&
        !config.contains("reset_after")) {
      config["reset_after"] = false;
    }
    DropOldOptions(class_name, config);
    DropInitializerTypes(config);
    if (class_name == "InputLayer" && config.contains("batch_input_shape")) {
      if (!config.contains("batch_shape")) config["batch_shape"] = config["batch_input_shape"];
      config.erase("batch_input_shape");
    }
    if (class_name == "BatchNormalization" && config.contains("axis")) {
      json& axis = config["axis"];
      if (axis.is_array() && axis.size() == 1) axis = json(axis[0]);
    }
    for (const char* inner : {"layer", "backward_layer", "cell"}) {
      if (config.contains(inner)) Layer(config[inner]);
    }
    if (config.contains("cells")) Layers(config["cells"]);
  }

 private:
  static void SetModule(json& object, const char* module, json registered_name) {
    // "keras.src.engine.functional" of Keras 2 is gone.
    const bool gone = Text(object, "module").find(".engine") != std::string::npos;
    if (object.contains("module") && !gone) return;
    object["module"] = module;
    object["registered_name"] = std::move(registered_name);
  }

  void Layers(json& layers) {
    if (!layers.is_array()) return;
    for (json& layer : layers) Layer(layer);
  }

  void Sequential(json& model) {
    SetModule(model, "keras", nullptr);
    json& config = model["config"];
    if (config.is_array()) {
      // Keras <= 2.2: the layers alone. In a functional model the name stands beside.
      std::string name = Text(model, "name");
      if (name.empty()) {
        name = "sequential" + (unnamed_ == 0 ? "" : "_" + std::to_string(unnamed_));
        ++unnamed_;
      }
      json layers = std::move(config);
      config = {{"name", std::move(name)}, {"layers", std::move(layers)}};
    }
    if (!config.is_object() || !config.contains("layers")) return;
    json& layers = config["layers"];
    Layers(layers);
    if (!layers.is_array() || layers.empty()) return;
    AddInput(layers);
    for (json& layer : layers) DropInputShape(layer);
  }

  // The first layer of a model told its input's shape, where today an InputLayer stands.
  static void AddInput(json& layers) {
    const json& first = layers[0];
    if (!IsLayer(first) || !first["config"].is_object()) return;
    const json shape = first["config"].value("batch_input_shape", json());
    if (Text(first, "class_name") == "InputLayer" || !shape.is_array()) return;
    const char* type = Text(first, "class_name") == "Embedding" ? "int32" : "float32";
    json input = {{"module", "keras.layers"},
                  {"class_name", "InputLayer"},
                  {"config", {{"batch_shape", shape}, {"dtype", type}, {"name", "input_layer"}}},
                  {"registered_name", nullptr}};
    layers.insert(layers.begin(), std::move(input));
  }

  static void DropInputShape(json& layer) {
    if (IsLayer(layer) && layer["config"].is_object()) layer["config"].erase("batch_input_shape");
  }

  void Functional(json& model) {
    SetModule(model, "keras.src.models.functional", "Functional");
    if (model["class_name"] == "Model") model["class_name"] = "Functional";
    json& config = model["config"];
    if (!config.is_object() || !config.contains("layers") || !config["layers"].is_array()) return;
    for (json& layer : config["layers"]) {
      Layer(layer);
      if (!layer.is_object()) continue;
      DropInputShape(layer);
      const auto calls = layer.find("inbound_nodes");
      if (calls == layer.end() || !calls->is_array()) continue;
      const std::string class_name = Text(layer, "class_name");
      for (json& call : *calls) call = ModernCall(call, class_name);
    }
  }

  std::size_t unnamed_ = 0;  // Sequential models that have no name
};

Status CheckActivations(const json& value) {
  if (!value.is_structured()) return OkStatus();
  if (IsLayer(value)) {
    const json& config = value["config"];
    for (const char* option : {"activation", "recurrent_activation"}) {
      if (Text(config, option) != "hard_sigmoid") continue;
      return Invalid("layer '" + Printable(Text(config, "name")) + "' (" +
                     Printable(Text(value, "class_name")) + "): " + option +
                     " 'hard_sigmoid' was 0.2 x + 0.5 in Keras 2 and is x / 6 + 0.5 in Keras 3; "
                     "save the model with Keras 3 if that is meant");
    }
  }
  for (const json& item : value) ELEPHAS_RETURN_IF_ERROR(CheckActivations(item));
  return OkStatus();
}

}  // namespace

bool IsKeras2(const json& version) {
  if (!version.is_string()) return false;
  const auto& text = version.get_ref<const std::string&>();
  return text.starts_with("2.") || text.starts_with("1.");
}

Status CheckMeanings(const json& model, const json& version) {
  return IsKeras2(version) ? CheckActivations(model) : OkStatus();
}

json ModernConfig(json model) {
  Modernizer().Layer(model);
  return model;
}

}  // namespace elephas::keras_file
