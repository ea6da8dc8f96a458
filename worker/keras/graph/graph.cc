#include "worker/keras/graph/graph.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

Result<std::unique_ptr<Graph>> Graph::FromJson(const nlohmann::json& model,
                                               const std::string& place) {
  ELEPHAS_ASSIGN_OR_RETURN(const GraphConfig config, ParseGraph(model, place));
  auto graph = std::make_unique<Graph>();
  graph->name_ = config.name;
  graph->identity = {config.name, config.class_name, config.trainable, {}};
  ELEPHAS_RETURN_IF_ERROR(graph->MakeLayers(config));
  ELEPHAS_RETURN_IF_ERROR(graph->MakeNodes(config));
  ELEPHAS_RETURN_IF_ERROR(graph->SortNodes());
  return graph;
}

Status Graph::MakeLayers(const GraphConfig& config) {
  for (const LayerConfig& layer : config.layers) {
    Entry& entry = entries_.emplace_back();
    entry.name = layer.name;
    entry.class_name = layer.class_name;
    entry.place = layer.place;
    entry.calls = layer.nodes.size();
    if (layer.is_input) continue;
    ELEPHAS_ASSIGN_OR_RETURN(entry.layer, MakeLayerFromJson(*layer.json, layer.place));
    entry.layer->identity.name = layer.name;
  }
  for (const TensorRef& ref : config.inputs) {
    const LayerConfig& layer = config.layers[ref.layer];
    inputs_.push_back({layer.name, layer.input_shape, layer.input_dtype});
    input_layers_.push_back(ref.layer);
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].layer != nullptr) continue;
    if (std::find(input_layers_.begin(), input_layers_.end(), i) == input_layers_.end()) {
      return Invalid(entries_[i].place + ": input '" + entries_[i].name +
                     "' is not among the model's inputs");
    }
  }
  output_refs_ = config.outputs;
  for (std::size_t i = 0; i < config.outputs.size(); ++i) {
    output_names_.push_back(config.output_names.empty()
                                ? config.layers[config.outputs[i].layer].name
                                : config.output_names[i]);
  }
  return OkStatus();
}

Status Graph::MakeNodes(const GraphConfig& config) {
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    if (config.layers[i].is_input) continue;
    for (std::size_t call = 0; call < config.layers[i].nodes.size(); ++call) {
      Node& node = nodes_.emplace_back();
      node.layer = i;
      node.index = call;
      const Status status = BindArguments(config.layers[i].nodes[call], *entries_[i].layer, node);
      if (!status.ok()) return At(node, status);
    }
  }
  return OkStatus();
}

Status Graph::BindArguments(const NodeConfig& config, const Layer& layer, Node& node) {
  const auto parameters = layer.Parameters();
  const auto add = [&](std::string name, const ArgumentConfig& argument) {
    if (argument.tensors.empty() && argument.constant.is_null()) return;
    node.call.arguments.push_back(
        {std::move(name), node.refs.size(), argument.tensors.size(), argument.constant});
    node.refs.insert(node.refs.end(), argument.tensors.begin(), argument.tensors.end());
  };
  for (std::size_t i = 0; i < config.positional.size(); ++i) {
    if (i >= parameters.size()) return Invalid("is called with too many arguments");
    add(std::string(parameters[i]), config.positional[i]);
  }
  for (const auto& [name, argument] : config.named) {
    // Keras overrides a stored `training` by what fit, evaluate and predict say.
    if (name == "training") continue;
    const bool known = std::find(parameters.begin(), parameters.end(), name) != parameters.end();
    if (!known) return Invalid("argument '" + name + "' of its call is not supported");
    add(name, argument);
  }
  if (node.refs.empty()) return Invalid("is called without a tensor");
  node.mask_refs = config.masks;
  if (node.mask_refs.size() > node.refs.size()) {
    return Invalid("is called with more masks than inputs");
  }
  return OkStatus();
}

Status Graph::SortNodes() {
  std::vector<std::vector<std::size_t>> number(entries_.size());  // of a node in nodes_
  for (std::size_t i = 0; i < entries_.size(); ++i) number[i].assign(entries_[i].calls, kNone);
  for (std::size_t i = 0; i < nodes_.size(); ++i) number[nodes_[i].layer][nodes_[i].index] = i;

  std::vector<std::vector<std::size_t>> users(nodes_.size());
  std::vector<std::size_t> waiting(nodes_.size(), 0);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const auto wait_for = [&](const TensorRef& ref) {
      const std::size_t producer = number[ref.layer][ref.node];
      if (producer == kNone) return;  // an input
      users[producer].push_back(i);
      ++waiting[i];
    };
    for (const TensorRef& ref : nodes_[i].refs) wait_for(ref);
    for (const std::optional<TensorRef>& ref : nodes_[i].mask_refs) {
      if (ref) wait_for(*ref);
    }
  }
  std::deque<std::size_t> ready;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (waiting[i] == 0) ready.push_back(i);
  }
  std::vector<Node> sorted;
  std::vector<bool> done(nodes_.size(), false);
  while (!ready.empty()) {
    const std::size_t i = ready.front();
    ready.pop_front();
    done[i] = true;
    for (const std::size_t user : users[i]) {
      if (--waiting[user] == 0) ready.push_back(user);
    }
    sorted.push_back(std::move(nodes_[i]));
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!done[i]) return At(nodes_[i], Invalid("its inputs depend on its own output"));
  }
  nodes_ = std::move(sorted);
  return OkStatus();
}

ShapeList Graph::InputShapes() const {
  ShapeList shapes;
  for (const Port& port : inputs_) shapes.push_back(port.shape);
  return shapes;
}

Status Graph::At(const Node& node, const Status& status) const {
  const Entry& entry = entries_[node.layer];
  if (entry.class_name == "Sequential" || entry.class_name == "Functional" ||
      entry.class_name == "Model") {
    return status;  // it names the layer inside
  }
  return status.Annotate(entry.place + " '" + entry.name + "' (" + entry.class_name + ")");
}

Result<Shape> Graph::ShapeOf(const ShapeTable& table, const TensorRef& ref) const {
  const ShapeList& outputs = table[ref.layer][ref.node];
  if (ref.tensor >= outputs.size()) {
    return Invalid("layer '" + entries_[ref.layer].name + "' has no output " +
                   std::to_string(ref.tensor));
  }
  return outputs[ref.tensor];
}

Result<Graph::ShapeTable> Graph::InferShapes(const ShapeList& inputs,
                                             std::vector<WeightMaker>* makers) const {
  if (inputs.size() != inputs_.size()) {
    return Invalid("model '" + name_ + "' takes " + std::to_string(inputs_.size()) +
                   " inputs, not " + std::to_string(inputs.size()));
  }
  ShapeTable table(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) table[i].resize(entries_[i].calls);
  for (std::size_t i = 0; i < inputs.size(); ++i) table[input_layers_[i]][0] = {inputs[i]};
  std::vector<bool> built(entries_.size(), makers == nullptr);
  for (const Node& node : nodes_) {
    ShapeList shapes;
    for (const TensorRef& ref : node.refs) {
      Result<Shape> shape = ShapeOf(table, ref);
      if (!shape.ok()) return At(node, shape.status());
      if (shape->empty()) return At(node, Invalid("its input has no batch axis"));
      shapes.push_back(*std::move(shape));
    }
    for (const std::optional<TensorRef>& ref : node.mask_refs) {
      if (!ref) continue;
      if (const auto shape = ShapeOf(table, *ref); !shape.ok()) return At(node, shape.status());
    }
    Layer& layer = *entries_[node.layer].layer;
    if (!built[node.layer]) {
      // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): without makers all are built
      WeightMaker& maker = (*makers)[node.layer];
      layer.identity.trainable = maker.trainable();
      if (const Status status = layer.Build(node.call, shapes, maker); !status.ok()) {
        return At(node, status);
      }
      built[node.layer] = true;
    }
    Result<ShapeList> outputs = layer.OutputShapes(node.call, shapes);
    if (!outputs.ok()) return At(node, outputs.status());
    table[node.layer][node.index] = *std::move(outputs);
  }
  return table;
}

Status Graph::Build(const Call&, const ShapeList& inputs, WeightMaker& weights) {
  // Groups are made in the order of the layers, whatever the order of their calls.
  std::vector<WeightMaker> makers;
  for (const Entry& entry : entries_) {
    const bool trainable = entry.layer == nullptr || entry.layer->identity.trainable;
    makers.push_back(weights.Inside("layers", entry.name, entry.class_name, trainable));
  }
  ELEPHAS_ASSIGN_OR_RETURN(const ShapeTable table, InferShapes(inputs, &makers));
  for (const TensorRef& ref : output_refs_) {
    ELEPHAS_RETURN_IF_ERROR(ShapeOf(table, ref).status());
  }
  NumberValues(table);
  return OkStatus();
}

Result<ShapeList> Graph::OutputShapes(const Call&, const ShapeList& inputs) const {
  ELEPHAS_ASSIGN_OR_RETURN(const ShapeTable table, InferShapes(inputs, nullptr));
  ShapeList outputs;
  for (const TensorRef& ref : output_refs_) {
    ELEPHAS_ASSIGN_OR_RETURN(Shape shape, ShapeOf(table, ref));
    outputs.push_back(std::move(shape));
  }
  return outputs;
}

void Graph::NumberValues(const ShapeTable& table) {
  std::vector<std::vector<std::size_t>> first(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) first[i].resize(entries_[i].calls);
  value_count_ = 0;
  for (const std::size_t layer : input_layers_) first[layer][0] = value_count_++;
  for (Node& node : nodes_) {
    node.first_output = first[node.layer][node.index] = value_count_;
    node.outputs = table[node.layer][node.index].size();
    value_count_ += node.outputs;
  }
  const auto value_of = [&](const TensorRef& ref) {
    return first[ref.layer][ref.node] + ref.tensor;
  };
  std::vector<std::size_t> last_use(value_count_, kNone);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    node.inputs.clear();
    node.masks.clear();
    node.released.clear();
    for (const TensorRef& ref : node.refs) node.inputs.push_back(value_of(ref));
    for (const std::optional<TensorRef>& ref : node.mask_refs) {
      node.masks.push_back(ref ? value_of(*ref) : kNone);
    }
    for (const std::size_t value : node.inputs) last_use[value] = i;
    for (const std::size_t value : node.masks) {
      if (value != kNone) last_use[value] = i;
    }
  }
  output_values_.clear();
  for (const TensorRef& ref : output_refs_) output_values_.push_back(value_of(ref));
  for (const std::size_t value : output_values_) last_use[value] = kNone;
  for (std::size_t value = 0; value < value_count_; ++value) {
    if (last_use[value] != kNone) nodes_[last_use[value]].released.push_back(value);
  }
}

std::vector<IndexLimit> Graph::IndexLimits(std::size_t input) const {
  std::vector<IndexLimit> limits;
  for (const Node& node : nodes_) {
    for (std::size_t i = 0; i < node.refs.size(); ++i) {
      if (node.refs[i].layer != input_layers_.at(input)) continue;
      const std::vector<IndexLimit> inner = entries_[node.layer].layer->IndexLimits(i);
      limits.insert(limits.end(), inner.begin(), inner.end());
    }
  }
  return limits;
}

Values Graph::Run(const Call&, std::span<const Value> inputs, Step& step) {
  Values values(value_count_);
  std::copy(inputs.begin(), inputs.end(), values.begin());
  Values arguments;
  for (Node& node : nodes_) {
    Layer& layer = *entries_[node.layer].layer;
    arguments.clear();
    for (const std::size_t value : node.inputs) arguments.push_back(values[value]);
    for (std::size_t i = 0; i < node.masks.size(); ++i) {
      if (node.masks[i] != kNone) arguments[i].mask = values[node.masks[i]].tensor;
    }
    if (!layer.TakesIntegers()) {
      for (Value& value : arguments) {
        if (!value.tensor.is_floating_point() && value.tensor.scalar_type() != at::kBool) {
          value.tensor = value.tensor.to(at::kFloat);
        }
      }
    }
    Values outputs = layer.Run(node.call, arguments, step);
    if (layer.identity.activity_regularizer) {
      for (const Value& output : outputs) {
        const auto batch = static_cast<double>(output.tensor.size(0));
        step.losses.push_back(layer.identity.activity_regularizer(output.tensor) / batch);
      }
    }
    std::move(outputs.begin(), outputs.end(),
              values.begin() + static_cast<std::ptrdiff_t>(node.first_output));
    for (const std::size_t value : node.released) values[value] = {};
  }
  Values outputs;
  for (const std::size_t value : output_values_) outputs.push_back(values[value]);
  return outputs;
}

}  // namespace elephas::keras
