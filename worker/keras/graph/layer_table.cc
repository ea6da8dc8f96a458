#include "worker/keras/graph/layer_table.h"

#include <array>
#include <utility>

#include "worker/keras/graph/graph.h"

namespace elephas::keras {

namespace {

using nlohmann::json;

// dtype is "float32" or a policy object around it; nothing else is computed here.
void CheckDtype(ConfigReader& config) {
  const json& dtype = config.Any("dtype");
  std::string name;
  if (dtype.is_null()) return;
  if (dtype.is_string()) {
    name = dtype.get<std::string>();
  } else if (dtype.is_object()) {
    const auto policy = dtype.find("config");
    if (policy != dtype.end() && policy->is_object()) name = policy->value("name", json()).dump();
    if (name.size() > 2) name = name.substr(1, name.size() - 2);
  }
  if (name != "float32") config.Fail("dtype '" + name + "' is not supported, only float32");
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 20> kAliases{{
    {"AvgPool1D", "AveragePooling1D"},
    {"AvgPool2D", "AveragePooling2D"},
    {"AvgPool3D", "AveragePooling3D"},
    {"Convolution1D", "Conv1D"},
    {"Convolution1DTranspose", "Conv1DTranspose"},
    {"Convolution2D", "Conv2D"},
    {"Convolution2DTranspose", "Conv2DTranspose"},
    {"Convolution3D", "Conv3D"},
    {"Convolution3DTranspose", "Conv3DTranspose"},
    {"GlobalAvgPool1D", "GlobalAveragePooling1D"},
    {"GlobalAvgPool2D", "GlobalAveragePooling2D"},
    {"GlobalAvgPool3D", "GlobalAveragePooling3D"},
    {"GlobalMaxPool1D", "GlobalMaxPooling1D"},
    {"GlobalMaxPool2D", "GlobalMaxPooling2D"},
    {"GlobalMaxPool3D", "GlobalMaxPooling3D"},
    {"MaxPool1D", "MaxPooling1D"},
    {"MaxPool2D", "MaxPooling2D"},
    {"MaxPool3D", "MaxPooling3D"},
    {"SeparableConvolution1D", "SeparableConv1D"},
    {"SeparableConvolution2D", "SeparableConv2D"},
}};

const LayerEntry* FindEntry(std::string_view class_name) {
  for (const auto& [alias, name] : kAliases) {
    if (class_name == alias) class_name = name;
  }
  for (const LayerFamily& family : LayerFamilies()) {
    for (const LayerEntry& entry : family.entries) {
      if (entry.class_name == class_name) return &entry;
    }
  }
  return nullptr;
}

std::string StringField(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace

std::vector<LayerFamily> LayerFamilies() {
  return {
      {"Core", CoreLayers()},
      {"Activations", ActivationLayers()},
      {"Tokens and masks", TokenLayers()},
      {"Preprocessing", PreprocessingLayers()},
      {"Reshaping", ReshapingLayers()},
      {"Resizing", ResizingLayers()},
      {"Convolution", ConvolutionLayers()},
      {"Transposed convolution", TransposedConvolutionLayers()},
      {"Pooling", PoolingLayers()},
      {"Global pooling", GlobalPoolingLayers()},
      {"Normalization", NormalizationLayers()},
      {"Regularization", RandomLayers()},
      {"Recurrent", RecurrentLayers()},
      {"Attention", AttentionLayers()},
      {"Merging", MergingLayers()},
      {"Arithmetic operations", OperationLayers()},
      {"Tensor operations", TensorOperationLayers()},
  };
}

std::span<const std::pair<std::string_view, std::string_view>> LayerAliases() { return kAliases; }

bool IsModelClass(std::string_view class_name) {
  return class_name == "Sequential" || class_name == "Functional" || class_name == "Model";
}

Result<std::unique_ptr<Layer>> MakeLayerFromJson(const json& input, const std::string& place) {
  if (!input.is_object()) return Invalid(place + ": a layer must be an object");
  const std::string class_name = StringField(input, "class_name");
  const auto config = input.find("config");
  if (class_name.empty() || config == input.end()) {
    return Invalid(place + ": a layer needs 'class_name' and 'config'");
  }
  const std::string registered = StringField(input, "registered_name");
  if (registered.find('>') != std::string::npos && !registered.starts_with("keras>")) {
    return Invalid(place + " (" + class_name + "): custom class '" + registered +
                   "' is not supported");
  }
  if (IsModelClass(class_name)) {
    ELEPHAS_ASSIGN_OR_RETURN(std::unique_ptr<Graph> graph, Graph::FromJson(input, place));
    return std::unique_ptr<Layer>(std::move(graph));
  }
  const std::string name = config->is_object() ? StringField(*config, "name") : "";
  const std::string where =
      place + (name.empty() ? "" : " '" + name + "'") + " (" + class_name + ")";
  const std::string module = StringField(input, "module");
  const bool is_operation = module.starts_with("keras.src.ops") || module.starts_with("keras.ops");
  const LayerEntry* entry = FindEntry(is_operation ? "ops." + class_name : class_name);
  if (entry == nullptr) return Invalid(where + ": this class of layers is not supported");
  ConfigReader reader(*config, where);
  // What every layer has. Shapes stand in the graph already.
  reader.Ignore({"name", "batch_input_shape", "batch_shape", "input_shape"});
  if (!is_operation) CheckDtype(reader);  // those that have one read it
  const bool trainable = reader.Bool("trainable", true);
  Regularizer activity = ReadRegularizer(reader, "activity_regularizer");
  std::unique_ptr<Layer> layer = entry->make(reader);
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  layer->identity = {name, class_name, trainable, std::move(activity)};
  return layer;
}

std::unique_ptr<Layer> ReadLayer(ConfigReader& config, std::string_view name) {
  const json& option = config.Any(name);
  if (option.is_null()) {
    config.Fail("'" + std::string(name) + "' is missing");
    return nullptr;
  }
  Result<std::unique_ptr<Layer>> layer =
      MakeLayerFromJson(option, config.where() + ", its '" + std::string(name) + "'");
  if (layer.ok()) return *std::move(layer);
  config.Adopt(layer.status());
  return nullptr;
}

}  // namespace elephas::keras
