// The one table from Keras class names to builders. Each family of layers keeps its rows in its own
// file under layers/; a new layer is a class there, one row, and one case in the Keras test matrix.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/config_reader.h"
#include "worker/keras/graph/layer.h"

namespace elephas::keras {

struct LayerEntry {
  std::string_view class_name;
  // Reads the options; what is wrong with them is left in `config`.
  std::unique_ptr<Layer> (*make)(ConfigReader& config);
};

template <typename L>
std::unique_ptr<Layer> MakeLayer(ConfigReader& config) {
  return std::make_unique<L>(config);
}

// The families, one per file.
std::span<const LayerEntry> CoreLayers();
std::span<const LayerEntry> ActivationLayers();
std::span<const LayerEntry> TokenLayers();
std::span<const LayerEntry> PreprocessingLayers();
std::span<const LayerEntry> ReshapingLayers();
std::span<const LayerEntry> ResizingLayers();
std::span<const LayerEntry> ConvolutionLayers();
std::span<const LayerEntry> TransposedConvolutionLayers();
std::span<const LayerEntry> PoolingLayers();
std::span<const LayerEntry> GlobalPoolingLayers();
std::span<const LayerEntry> NormalizationLayers();
std::span<const LayerEntry> RandomLayers();
std::span<const LayerEntry> RecurrentLayers();
std::span<const LayerEntry> AttentionLayers();
std::span<const LayerEntry> MergingLayers();
// Operations on tensors (`x + 1`); their class names have "ops." before them here.
std::span<const LayerEntry> OperationLayers();
std::span<const LayerEntry> TensorOperationLayers();

struct LayerFamily {
  std::string_view title;  // for docs/keras.md
  std::span<const LayerEntry> entries;
};
std::vector<LayerFamily> LayerFamilies();
// Other names that Keras has for the same classes, and the class of each.
std::span<const std::pair<std::string_view, std::string_view>> LayerAliases();

// True when `json` is a whole model (Sequential, Functional, Model).
bool IsModelClass(std::string_view class_name);

// Makes the layer that `json` ({"class_name", "config", …}) describes, or the model inside the
// model. `place` says where it sits ("model 'm' layers[2]"). kInvalid names place, layer and class.
Result<std::unique_ptr<Layer>> MakeLayerFromJson(const nlohmann::json& input,
                                                 const std::string& place);

// For wrappers: makes the layer in the option `name` of `config`; null after a problem.
std::unique_ptr<Layer> ReadLayer(ConfigReader& config, std::string_view name);

}  // namespace elephas::keras
