#include "worker/keras_file/layer_order.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <ranges>
#include <utility>

namespace elephas::keras_file {

namespace {

using nlohmann::json;

// One call of a layer: where each input tensor comes from.
struct Reference {
  std::size_t layer = 0;
  std::size_t node = 0;  // which call of that layer
};
struct Call {
  std::vector<Reference> inputs;
};
struct LayerCalls {
  std::string name;
  std::vector<Call> calls;
};

// Reads the graph out of the config. `ok` turns false on anything that does not fit.
class GraphReader {
 public:
  explicit GraphReader(const json& config) {
    const auto layers = config.find("layers");
    if (layers == config.end() || !layers->is_array()) return;
    for (const json& layer : *layers) {
      const json name = layer.is_object() ? layer.value("name", json()) : json();
      if (!name.is_string() || !index_.emplace(name, calls_.size()).second) return;
      calls_.push_back({name.get<std::string>(), {}});
    }
    ok_ = true;
    for (std::size_t i = 0; i < layers->size(); ++i) ReadCalls((*layers)[i], calls_[i]);
    for (const json& layer : *layers) {
      // An input layer is called once, with nothing.
      LayerCalls& calls = calls_[index_.at(layer["name"].get<std::string>())];
      if (calls.calls.empty()) calls.calls.emplace_back();
    }
    outputs_ = Tensors(config.value("output_layers", json()));
    inputs_ = Tensors(config.value("input_layers", json()));
    CorrectNodes();
  }

  [[nodiscard]] bool ok() const { return ok_ && !outputs_.empty(); }
  [[nodiscard]] const std::vector<LayerCalls>& layers() const { return calls_; }
  [[nodiscard]] const std::vector<Reference>& outputs() const { return outputs_; }
  [[nodiscard]] const std::vector<Reference>& inputs() const { return inputs_; }

 private:
  void Add(const json& history, std::vector<Reference>& out) {
    const auto it = index_.find(history[0].get<std::string>());
    const auto node = history[1].get<std::int64_t>();
    if (it == index_.end() || node < 0) {
      ok_ = false;
      return;
    }
    out.push_back({it->second, static_cast<std::size_t>(node)});
  }

  // Leaves of nested lists and of maps (by sorted key, as Keras flattens them).
  std::vector<Reference> Tensors(const json& value) {
    std::vector<Reference> out;
    std::vector<const json*> todo = {&value};
    while (!todo.empty()) {
      const json& next = *todo.back();
      todo.pop_back();
      if (IsHistory(next)) {
        Add(next, out);
      } else if (next.is_structured()) {
        const std::size_t first = todo.size();
        for (const json& item : next) todo.push_back(&item);
        std::reverse(todo.begin() + static_cast<std::ptrdiff_t>(first), todo.end());
      }
    }
    return out;
  }

  // Keras 3: {"class_name": "__keras_tensor__", "config": {"keras_history": […]}} anywhere inside.
  void KerasTensors(const json& value, std::vector<Reference>& out) {
    std::vector<const json*> todo = {&value};
    while (!todo.empty()) {
      const json& next = *todo.back();
      todo.pop_back();
      if (next.is_object() && next.value("class_name", json()) == "__keras_tensor__") {
        const json config = next.value("config", json::object());
        const json history = config.is_object() ? config.value("keras_history", json()) : json();
        if (IsHistory(history)) Add(history, out);
      } else if (next.is_structured()) {
        const std::size_t first = todo.size();
        for (const json& item : next) todo.push_back(&item);
        std::reverse(todo.begin() + static_cast<std::ptrdiff_t>(first), todo.end());
      }
    }
  }

  void ReadCalls(const json& layer, LayerCalls& calls) {
    const json nodes = layer.value("inbound_nodes", json::array());
    if (!nodes.is_array()) return;
    for (const json& node : nodes) {
      Call call;
      if (node.is_object()) {
        KerasTensors(node.value("args", json()), call.inputs);
        KerasTensors(node.value("kwargs", json()), call.inputs);
      } else {
        call.inputs = Tensors(node);
      }
      calls.calls.push_back(std::move(call));
    }
  }

  // Calls of a nested model are counted from 1 in some files: its own construction was call 0.
  void CorrectNodes() {
    std::vector<std::size_t> shift(calls_.size(), 0);
    const auto look = [&](const std::vector<Reference>& references) {
      for (const Reference& reference : references) {
        if (reference.node >= calls_[reference.layer].calls.size()) shift[reference.layer] = 1;
      }
    };
    const auto correct = [&](std::vector<Reference>& references) {
      for (Reference& reference : references) {
        reference.node -= std::min(reference.node, shift[reference.layer]);
        ok_ = ok_ && reference.node < calls_[reference.layer].calls.size();
      }
    };
    const auto each = [&](const auto& action) {
      for (LayerCalls& layer : calls_) {
        for (Call& call : layer.calls) action(call.inputs);
      }
      action(outputs_);
      action(inputs_);
    };
    each(look);
    each(correct);
  }

  bool ok_ = false;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::vector<LayerCalls> calls_;
  std::vector<Reference> outputs_, inputs_;
};

class Orderer {
 public:
  explicit Orderer(const GraphReader& graph) : graph_(graph) {
    std::size_t first = 0;
    for (const LayerCalls& layer : graph.layers()) {
      first_call_.push_back(first);
      first += layer.calls.size();
    }
    state_.resize(first);
    call_depth_.resize(first, 0);
    index_.resize(graph.layers().size(), kNever);
    depth_.resize(graph.layers().size(), 0);
  }

  std::optional<std::vector<std::string>> Run() {
    for (const Reference& output : graph_.outputs()) {
      if (!Walk(output)) return std::nullopt;
    }
    SetDepths();
    // Inputs that no output needs are still layers of the model.
    for (const Reference& input : graph_.inputs()) {
      if (index_[input.layer] == kNever) index_[input.layer] = -1;
    }
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < index_.size(); ++i) {
      if (index_[i] != kNever) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(-depth_[a], index_[a]) < std::pair(-depth_[b], index_[b]);
    });
    std::vector<std::string> names;
    names.reserve(order.size());
    for (const std::size_t layer : order) names.push_back(graph_.layers()[layer].name);
    return names;
  }

 private:
  static constexpr std::int64_t kNever = -2;
  enum class State : std::uint8_t { kNew, kOpen, kDone };
  struct Frame {
    Reference call;
    std::size_t next_input = 0;
  };

  [[nodiscard]] std::size_t Number(const Reference& call) const {
    return first_call_[call.layer] + call.node;
  }
  [[nodiscard]] const Call& At(const Reference& call) const {
    return graph_.layers()[call.layer].calls[call.node];
  }

  void Open(const Reference& call, std::vector<Frame>& stack) {
    state_[Number(call)] = State::kOpen;
    if (index_[call.layer] == kNever) index_[call.layer] = met_++;
    stack.push_back({call, 0});
  }

  // Depth first with a stack of its own: the depth of the graph is the file's to choose. False when
  // it meets a cycle.
  bool Walk(const Reference& output) {
    std::vector<Frame> stack;
    if (state_[Number(output)] == State::kDone) return true;
    Open(output, stack);
    while (!stack.empty()) {
      Frame& frame = stack.back();
      const Call& call = At(frame.call);
      if (frame.next_input == call.inputs.size()) {
        state_[Number(frame.call)] = State::kDone;
        finished_.push_back(frame.call);
        stack.pop_back();
        continue;
      }
      const Reference input = call.inputs[frame.next_input++];
      if (state_[Number(input)] == State::kOpen) return false;
      if (state_[Number(input)] == State::kNew) Open(input, stack);
    }
    return true;
  }

  void SetDepths() {
    for (const auto& call : std::views::reverse(finished_)) {
      std::int64_t& depth = call_depth_[Number(call)];
      depth = std::max(depth, depth_[call.layer]);
      depth_[call.layer] = depth;
      for (const Reference& input : At(call).inputs) {
        std::int64_t& below = call_depth_[Number(input)];
        below = std::max(below, depth + 1);
      }
    }
  }

  const GraphReader& graph_;
  std::vector<std::size_t> first_call_;
  std::vector<State> state_;              // by call
  std::vector<std::int64_t> call_depth_;  // by call
  std::vector<std::int64_t> index_;       // by layer: when the walk met it
  std::vector<std::int64_t> depth_;       // by layer
  std::vector<Reference> finished_;       // calls, inputs first
  std::int64_t met_ = 0;
};

// The JSON of the object in attribute `attribute` of one with this `config`.
const json* Inner(const json& config, const Object& child) {
  if (child.attribute == "layers") {
    const auto layers = config.find("layers");
    if (layers == config.end() || !layers->is_array()) return nullptr;
    for (const json& layer : *layers) {
      if (!layer.is_object()) continue;
      const json inner = layer.value("config", json::object());
      if (layer.value("name", json()) == child.name ||
          (inner.is_object() && inner.value("name", json()) == child.name)) {
        return &layer;
      }
    }
    return nullptr;
  }
  // Bidirectional keeps the JSON of its forward layer as "layer".
  for (const std::string& key : {child.attribute, std::string("layer")}) {
    const auto it = config.find(key);
    if (it != config.end() && it->is_object()) return &*it;
  }
  return nullptr;
}

}  // namespace

std::optional<std::vector<std::string>> FunctionalLayerOrder(const json& config) {
  if (!config.is_object()) return std::nullopt;
  const GraphReader graph(config);
  if (!graph.ok()) return std::nullopt;
  return Orderer(graph).Run();
}

void OrderLikeKeras(Object& object, const json& model) {
  if (!model.is_object()) return;
  const auto config = model.find("config");
  if (config == model.end() || !config->is_object()) return;
  for (Object& child : object.children) {
    if (const json* inner = Inner(*config, child)) OrderLikeKeras(child, *inner);
  }
  const auto order = FunctionalLayerOrder(*config);
  if (!order) return;
  std::map<std::string, std::size_t> rank;
  for (const std::string& name : *order) rank.emplace(name, rank.size());
  const auto key = [&](const Object& child) {
    const auto it = child.attribute == "layers" ? rank.find(child.name) : rank.end();
    return it == rank.end() ? rank.size() : it->second;
  };
  std::stable_sort(object.children.begin(), object.children.end(),
                   [&](const Object& a, const Object& b) { return key(a) < key(b); });
}

bool IsHistory(const json& value) {
  return value.is_array() && value.size() >= 3 && value[0].is_string() &&
         value[1].is_number_integer() && value[2].is_number_integer();
}

}  // namespace elephas::keras_file
