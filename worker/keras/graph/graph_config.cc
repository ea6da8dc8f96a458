#include "worker/keras/graph/graph_config.h"

#include <optional>
#include <utility>

#include "worker/keras/config/config_reader.h"

namespace elephas::keras {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxLayers = 100000;
constexpr std::size_t kMaxIndex = 1 << 20;

const json* Find(const json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string StringOf(const json& object, std::string_view key) {
  const json* value = Find(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::optional<std::size_t> IndexOf(const json& value) {
  if (!value.is_number_integer() || value < 0 || value > kMaxIndex) return std::nullopt;
  return value.get<std::size_t>();
}

Result<Shape> ShapeOf(const json& value, const std::string& place) {
  Shape shape;
  if (!value.is_array() || value.empty() || value.size() > 16) {
    return Invalid(place + ": a shape must be a short list");
  }
  for (const json& extent : value) {
    if (extent.is_null()) {
      shape.push_back(kUnknown);
    } else if (extent.is_number_integer() && extent >= 0 && extent <= kMaxElements) {
      shape.push_back(extent.get<std::int64_t>());
    } else {
      return Invalid(place + ": shape " + extent.dump() + " is not a size");
    }
  }
  return shape;
}

class GraphParser {
 public:
  GraphParser(const json& model, std::string place) : model_(model), place_(std::move(place)) {}

  Result<GraphConfig> Parse() {
    graph_.class_name = StringOf(model_, "class_name");
    const json* config = Find(model_, "config");
    if (config == nullptr) return Invalid(Where() + "'config' is missing");
    if (graph_.class_name == "Sequential") {
      ELEPHAS_RETURN_IF_ERROR(ParseSequential(*config));
    } else {
      ELEPHAS_RETURN_IF_ERROR(ParseFunctional(*config));
    }
    ELEPHAS_RETURN_IF_ERROR(CheckReferences());
    return std::move(graph_);
  }

 private:
  [[nodiscard]] std::string Where() const { return place_.empty() ? "" : place_ + ": "; }

  [[nodiscard]] std::string PlaceOf(std::size_t index) const {
    return (place_.empty() ? "" : place_ + ", ") + "layers[" + std::to_string(index) +
           "] of model '" + graph_.name + "'";
  }

  Status ReadCommon(const json& config) {
    graph_.name = StringOf(config, "name");
    if (graph_.name.empty()) graph_.name = StringOf(model_, "name");
    if (graph_.name.empty()) graph_.name = "model";
    const json* trainable = Find(config, "trainable");
    if (trainable != nullptr && !trainable->is_boolean()) {
      return Invalid(Where() + "'trainable' must be true or false");
    }
    graph_.trainable = trainable == nullptr || trainable->get<bool>();
    return OkStatus();
  }

  // Adds layers[index] of the JSON; its name is unique.
  Status AddLayer(const json& entry, std::size_t index) {
    LayerConfig layer;
    layer.json = &entry;
    layer.place = PlaceOf(index);
    layer.class_name = StringOf(entry, "class_name");
    if (layer.class_name.empty()) return Invalid(layer.place + ": 'class_name' is missing");
    const json* config = Find(entry, "config");
    if (config == nullptr || !config->is_object()) {
      return Invalid(layer.place + " (" + layer.class_name + "): 'config' is missing");
    }
    layer.name = StringOf(entry, "name");
    if (layer.name.empty()) layer.name = StringOf(*config, "name");
    if (layer.name.empty()) {
      // Hand-written configs may leave names out; Keras numbers them in the same way.
      const std::size_t number = unnamed_[layer.class_name]++;
      layer.name = Snake(layer.class_name) + (number == 0 ? "" : "_" + std::to_string(number));
    }
    if (layer.name.size() > 512 || layer.name.find('/') != std::string::npos) {
      return Invalid(layer.place + ": '" + layer.name.substr(0, 64) + "' is no layer name");
    }
    if (layer.class_name == "InputLayer") ELEPHAS_RETURN_IF_ERROR(ReadInput(*config, layer));
    if (!index_.emplace(layer.name, graph_.layers.size()).second) {
      return Invalid(layer.place + ": there is another layer named '" + layer.name + "'");
    }
    graph_.layers.push_back(std::move(layer));
    return OkStatus();
  }

  static std::string Snake(const std::string& name) {
    std::string out;
    for (std::size_t i = 0; i < name.size(); ++i) {
      const char c = name[i];
      const bool upper = c >= 'A' && c <= 'Z';
      const bool after_lower = i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z';
      if (upper && after_lower) out += '_';
      out += upper ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return out;
  }

  static Status ReadInput(const json& config, LayerConfig& layer) {
    const json* shape = Find(config, "batch_shape");
    if (shape == nullptr) shape = Find(config, "batch_input_shape");
    const json* inner = Find(config, "shape");
    if (shape == nullptr && inner == nullptr) {
      return Invalid(layer.place + " (InputLayer): 'batch_shape' is missing");
    }
    ELEPHAS_ASSIGN_OR_RETURN(layer.input_shape,
                             ShapeOf(shape != nullptr ? *shape : *inner, layer.place));
    if (shape == nullptr) layer.input_shape.insert(layer.input_shape.begin(), kUnknown);
    for (const char* flag : {"sparse", "ragged", "optional"}) {
      const json* value = Find(config, flag);
      if (value != nullptr && *value != false) {
        return Invalid(layer.place + " (InputLayer): '" + flag + "' inputs are not supported");
      }
    }
    layer.is_input = true;
    layer.input_dtype = StringOf(config, "dtype");
    if (layer.input_dtype.empty()) layer.input_dtype = "float32";
    layer.nodes.emplace_back();
    return OkStatus();
  }

  Status ParseSequential(const json& config) {
    const json* layers = config.is_array() ? &config : Find(config, "layers");
    if (config.is_object()) ELEPHAS_RETURN_IF_ERROR(ReadCommon(config));
    if (graph_.name.empty()) graph_.name = "sequential";
    if (layers == nullptr || !layers->is_array() || layers->empty()) {
      return Invalid(Where() + "model '" + graph_.name + "' has no layers");
    }
    if (layers->size() > kMaxLayers) return Invalid(Where() + "too many layers");
    const json& first = (*layers)[0];
    if (StringOf(first, "class_name") != "InputLayer") {
      ELEPHAS_RETURN_IF_ERROR(AddImpliedInput(config, first));
    }
    for (std::size_t i = 0; i < layers->size(); ++i) {
      ELEPHAS_RETURN_IF_ERROR(AddLayer((*layers)[i], i));
      if (graph_.layers.size() == 1) continue;  // the input
      if (graph_.layers.back().is_input) {
        return Invalid(graph_.layers.back().place + ": a second InputLayer in a Sequential model");
      }
      NodeConfig node;
      node.positional.push_back({{{graph_.layers.size() - 2, 0, 0}}, nullptr});
      graph_.layers.back().nodes.push_back(std::move(node));
    }
    graph_.inputs.push_back({0, 0, 0});
    graph_.outputs.push_back({graph_.layers.size() - 1, 0, 0});
    return OkStatus();
  }

  // A Sequential model without an InputLayer: its shape stands elsewhere.
  Status AddImpliedInput(const json& config, const json& first) {
    const json* shape = nullptr;
    const json* first_config = Find(first, "config");
    if (first_config != nullptr) {
      shape = Find(*first_config, "batch_input_shape");
      if (shape == nullptr) shape = Find(*first_config, "batch_shape");
    }
    if (shape == nullptr) shape = Find(config, "build_input_shape");
    if (shape == nullptr) {
      const json* build = Find(model_, "build_config");
      if (build != nullptr) shape = Find(*build, "input_shape");
    }
    const json* inner = first_config == nullptr ? nullptr : Find(*first_config, "input_shape");
    if (shape == nullptr && inner == nullptr) {
      return Invalid(Where() + "model '" + graph_.name +
                     "' has no input shape: begin it with an InputLayer");
    }
    LayerConfig layer;
    layer.class_name = "InputLayer";
    layer.place = "input of model '" + graph_.name + "'";
    layer.is_input = true;
    layer.input_dtype = StringOf(first, "class_name") == "Embedding" ? "int32" : "float32";
    layer.name = "input_layer";
    ELEPHAS_ASSIGN_OR_RETURN(layer.input_shape,
                             ShapeOf(shape != nullptr ? *shape : *inner, layer.place));
    if (shape == nullptr) layer.input_shape.insert(layer.input_shape.begin(), kUnknown);
    layer.nodes.emplace_back();
    index_.emplace(layer.name, 0);
    graph_.layers.push_back(std::move(layer));
    return OkStatus();
  }

  Status ParseFunctional(const json& config) {
    ELEPHAS_RETURN_IF_ERROR(ReadCommon(config));
    const json* layers = Find(config, "layers");
    if (layers == nullptr || !layers->is_array() || layers->empty()) {
      return Invalid(Where() + "model '" + graph_.name + "' (" + graph_.class_name +
                     ") has no layers; models made by subclassing are not supported");
    }
    if (layers->size() > kMaxLayers) return Invalid(Where() + "too many layers");
    for (std::size_t i = 0; i < layers->size(); ++i) {
      ELEPHAS_RETURN_IF_ERROR(AddLayer((*layers)[i], i));
    }
    for (std::size_t i = 0; i < layers->size(); ++i) {
      LayerConfig& layer = graph_.layers[i];
      if (layer.is_input) continue;
      const json* nodes = Find((*layers)[i], "inbound_nodes");
      if (nodes == nullptr || !nodes->is_array() || nodes->empty()) {
        return Invalid(layer.place + ": '" + layer.name + "' is never called");
      }
      for (const json& node : *nodes) {
        NodeConfig parsed;
        const Status status =
            node.is_object() ? ReadNode(node, parsed) : ReadLegacyNode(node, parsed);
        if (!status.ok()) return status.Annotate(layer.place + " '" + layer.name + "'");
        layer.nodes.push_back(std::move(parsed));
      }
    }
    const json* inputs = Find(config, "input_layers");
    const json* outputs = Find(config, "output_layers");
    if (inputs == nullptr || outputs == nullptr) {
      return Invalid(Where() + "model '" + graph_.name +
                     "' lacks 'input_layers' or 'output_layers'");
    }
    std::vector<std::string> ignored;
    ELEPHAS_RETURN_IF_ERROR(ReadEnds(*inputs, "input_layers", graph_.inputs, ignored));
    return ReadEnds(*outputs, "output_layers", graph_.outputs, graph_.output_names);
  }

  // ["name", 0, 0], a list of them, or a dict of them.
  Status ReadEnds(const json& ends, const std::string& field, std::vector<TensorRef>& out,
                  std::vector<std::string>& names) {
    const auto add = [&](const json& item) {
      Result<TensorRef> ref = ReadHistory(item);
      if (!ref.ok()) return ref.status().Annotate(Where() + "'" + field + "'");
      out.push_back(*ref);
      return OkStatus();
    };
    if (IsHistory(ends)) return add(ends);
    if (ends.is_object()) {
      for (const auto& [name, item] : ends.items()) {
        ELEPHAS_RETURN_IF_ERROR(add(item));
        names.push_back(name);
      }
    } else if (ends.is_array()) {
      for (const json& item : ends) ELEPHAS_RETURN_IF_ERROR(add(item));
    }
    if (out.empty()) return Invalid(Where() + "'" + field + "' names no tensor");
    return OkStatus();
  }

  static bool IsHistory(const json& value) {
    return value.is_array() && value.size() >= 3 && value[0].is_string() &&
           value[1].is_number_integer() && value[2].is_number_integer();
  }

  Result<TensorRef> ReadHistory(const json& value) {
    if (!IsHistory(value)) return Invalid("a tensor must be [layer, node, tensor]");
    const auto it = index_.find(value[0].get<std::string>());
    if (it == index_.end())
      return Invalid("there is no layer '" + value[0].get<std::string>() + "'");
    const auto node = IndexOf(value[1]);
    const auto tensor = IndexOf(value[2]);
    if (!node || !tensor) return Invalid("a tensor has a bad index");
    return TensorRef{it->second, *node, *tensor};
  }

  // Keras 3: {"args": […], "kwargs": {…}} with {"class_name": "__keras_tensor__", …} for tensors.
  Status ReadNode(const json& node, NodeConfig& out) {
    const json* args = Find(node, "args");
    const json* kwargs = Find(node, "kwargs");
    if (args == nullptr || !args->is_array()) return Invalid("'args' is missing");
    for (const json& item : *args) {
      ELEPHAS_RETURN_IF_ERROR(ReadArgument(item, out.positional.emplace_back()));
    }
    if (kwargs == nullptr) return OkStatus();
    if (!kwargs->is_object()) return Invalid("'kwargs' must be an object");
    for (const auto& [name, item] : kwargs->items()) {
      if (name == "mask") {
        ELEPHAS_RETURN_IF_ERROR(ReadMasks(item, out));
      } else {
        ELEPHAS_RETURN_IF_ERROR(ReadArgument(item, out.named[name]));
      }
    }
    return OkStatus();
  }

  // A tensor, or a list of tensors and nulls.
  Status ReadMasks(const json& raw, NodeConfig& out) {
    const json& value = Unwrap(raw);
    if (value.is_null()) return OkStatus();
    if (!value.is_array()) return ReadMask(value, out);
    for (const json& item : value) ELEPHAS_RETURN_IF_ERROR(ReadMask(item, out));
    return OkStatus();
  }

  Status ReadMask(const json& value, NodeConfig& out) {
    std::optional<TensorRef>& mask = out.masks.emplace_back();
    if (value.is_null()) return OkStatus();
    const json* history = HistoryOf(value);
    if (history == nullptr) return Invalid("argument 'mask' of its call must be a tensor");
    ELEPHAS_ASSIGN_OR_RETURN(mask, ReadHistory(*history));
    return OkStatus();
  }

  static const json& Unwrap(const json& value) {
    // Tuples are written {"class_name": "__tuple__", "items": […]}, arrays {"class_name":
    // "__numpy__", "config": {"value": …}}.
    const std::string class_name = StringOf(value, "class_name");
    if (class_name == "__tuple__" && Find(value, "items") != nullptr) return *Find(value, "items");
    if (class_name == "__numpy__" || class_name == "__tensor__") {
      const json* config = Find(value, "config");
      if (config != nullptr && Find(*config, "value") != nullptr) return *Find(*config, "value");
    }
    return value;
  }

  static const json* HistoryOf(const json& value) {
    if (StringOf(value, "class_name") != "__keras_tensor__") return nullptr;
    const json* config = Find(value, "config");
    return config == nullptr ? nullptr : Find(*config, "keras_history");
  }

  Status ReadArgument(const json& raw, ArgumentConfig& out) {
    const json& value = Unwrap(raw);
    if (StringOf(value, "class_name") == "__keras_tensor__") {
      const json* history = HistoryOf(value);
      if (history == nullptr) return Invalid("a tensor lacks its 'keras_history'");
      ELEPHAS_ASSIGN_OR_RETURN(const TensorRef ref, ReadHistory(*history));
      out.tensors.push_back(ref);
      return OkStatus();
    }
    const bool nested = value.is_structured() && !value.empty() && HoldsTensor(value);
    if (!nested) {
      out.constant = value;
      return OkStatus();
    }
    for (const json& item : value) {
      ArgumentConfig inner;
      ELEPHAS_RETURN_IF_ERROR(ReadArgument(item, inner));
      if (inner.tensors.empty())
        return Invalid("lists that mix tensors and constants are not supported");
      out.tensors.insert(out.tensors.end(), inner.tensors.begin(), inner.tensors.end());
    }
    return OkStatus();
  }

  static bool HoldsTensor(const json& value) {
    for (const json& item : value) {
      const json& inner = Unwrap(item);
      if (StringOf(inner, "class_name") == "__keras_tensor__") return true;
      if (inner.is_array() && HoldsTensor(inner)) return true;
    }
    return false;
  }

  // Keras 2: [["layer", 0, 0, {kwargs}], …]; tensors in kwargs are ["layer", 0, 0].
  Status ReadLegacyNode(const json& node, NodeConfig& out) {
    if (!node.is_array() || node.empty()) return Invalid("an inbound node must be a list");
    const bool single = IsHistory(node);
    ArgumentConfig& first = out.positional.emplace_back();
    const std::size_t count = single ? 1 : node.size();
    for (std::size_t i = 0; i < count; ++i) {
      const json& item = single ? node : node[i];
      ELEPHAS_ASSIGN_OR_RETURN(const TensorRef ref, ReadHistory(item));
      first.tensors.push_back(ref);
      if (item.size() < 4 || item[3].is_null()) continue;
      if (!item[3].is_object()) return Invalid("the arguments of a node must be an object");
      for (const auto& [name, value] : item[3].items()) {
        ArgumentConfig argument;
        ELEPHAS_RETURN_IF_ERROR(ReadLegacyArgument(value, argument));
        if (name == "mask") {
          out.masks.assign(argument.tensors.begin(), argument.tensors.end());
        } else {
          out.named[name] = std::move(argument);
        }
      }
    }
    return OkStatus();
  }

  Status ReadLegacyArgument(const json& value, ArgumentConfig& out) {
    if (IsHistory(value)) {
      ELEPHAS_ASSIGN_OR_RETURN(const TensorRef ref, ReadHistory(value));
      out.tensors.push_back(ref);
      return OkStatus();
    }
    if (value.is_array() && !value.empty() && IsHistory(value[0])) {
      for (const json& item : value) {
        ELEPHAS_ASSIGN_OR_RETURN(const TensorRef ref, ReadHistory(item));
        out.tensors.push_back(ref);
      }
      return OkStatus();
    }
    out.constant = value;
    return OkStatus();
  }

  Status CheckReference(const TensorRef& ref, const std::string& place) const {
    const LayerConfig& layer = graph_.layers[ref.layer];
    if (ref.node >= layer.nodes.size()) {
      return Invalid(place + ": call " + std::to_string(ref.node) + " of layer '" + layer.name +
                     "' does not exist");
    }
    return OkStatus();
  }

  Status CheckReferences() const {
    for (const LayerConfig& layer : graph_.layers) {
      for (const NodeConfig& node : layer.nodes) {
        for (const ArgumentConfig& argument : node.positional) {
          for (const TensorRef& ref : argument.tensors) {
            ELEPHAS_RETURN_IF_ERROR(CheckReference(ref, layer.place));
          }
        }
        for (const auto& [name, argument] : node.named) {
          for (const TensorRef& ref : argument.tensors) {
            ELEPHAS_RETURN_IF_ERROR(CheckReference(ref, layer.place));
          }
        }
        for (const std::optional<TensorRef>& mask : node.masks) {
          if (mask) ELEPHAS_RETURN_IF_ERROR(CheckReference(*mask, layer.place));
        }
      }
    }
    const std::string place = Where() + "model '" + graph_.name + "'";
    for (const TensorRef& ref : graph_.inputs) {
      ELEPHAS_RETURN_IF_ERROR(CheckReference(ref, place));
      if (!graph_.layers[ref.layer].is_input) {
        return Invalid(place + ": input '" + graph_.layers[ref.layer].name +
                       "' is not an InputLayer");
      }
    }
    for (const TensorRef& ref : graph_.outputs) ELEPHAS_RETURN_IF_ERROR(CheckReference(ref, place));
    return OkStatus();
  }

  const json& model_;
  std::string place_;
  GraphConfig graph_;
  std::map<std::string, std::size_t> index_;
  std::map<std::string, std::size_t> unnamed_;
};

}  // namespace

Result<GraphConfig> ParseGraph(const json& model, const std::string& place) {
  return GraphParser(model, place).Parse();
}

}  // namespace elephas::keras
