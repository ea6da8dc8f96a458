// SimpleRNN, LSTM, GRU, RNN around one of their cells, Bidirectional and TimeDistributed.
#include <array>

#include "worker/keras/graph/layer_table.h"
#include "worker/keras/recurrent/cell.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

constexpr std::array<std::string_view, 2> kSequenceParameters{"sequences", "initial_state"};

class Recurrent : public Layer {
 public:
  Recurrent(ConfigReader& c, std::unique_ptr<RecurrentCell> cell)
      : cell_(std::move(cell)),
        return_sequences_(c.Bool("return_sequences", false)),
        return_state_(c.Bool("return_state", false)),
        go_backwards_(c.Bool("go_backwards", false)),
        zero_output_for_mask_(c.Bool("zero_output_for_mask", false)) {
    // A state kept between batches would depend on which worker saw which batch.
    c.Require("stateful", false);
    c.Require("time_major", false);
    c.Ignore({"unroll"});
    if (cell_ != nullptr) cell_name_ = cell_->default_name();
  }

  std::span<const std::string_view> Parameters() const override { return kSequenceParameters; }

  Status Build(const Call&, const ShapeList& inputs, WeightMaker& weights) override {
    const Shape& sequence = inputs[0];
    if (sequence.size() != 3 || sequence.back() == kUnknown) {
      return Invalid("needs an input of shape (batch, steps, features), not " + ToString(sequence));
    }
    WeightMaker maker = weights.Inside("cell", cell_name_, cell_->class_name());
    return cell_->Build(sequence.back(), maker);
  }

  Result<ShapeList> OutputShapes(const Call&, const ShapeList& inputs) const override {
    const Shape& sequence = inputs[0];
    if (sequence.size() != 3) return Invalid("needs an input of rank 3, not " + ToString(sequence));
    const std::size_t states = inputs.size() - 1;
    if (states != 0 && states != cell_->state_count()) {
      return Invalid("takes " + std::to_string(cell_->state_count()) + " initial states, not " +
                     std::to_string(states));
    }
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      if (inputs[i].size() != 2 || inputs[i][1] != cell_->units()) {
        return Invalid("an initial state has shape " + ToString(inputs[i]));
      }
    }
    ShapeList outputs;
    if (return_sequences_) {
      outputs.push_back({sequence[0], sequence[1], cell_->units()});
    } else {
      outputs.push_back({sequence[0], cell_->units()});
    }
    if (return_state_)
      outputs.insert(outputs.end(), cell_->state_count(), {sequence[0], cell_->units()});
    return outputs;
  }

  Values Run(const Call&, std::span<const Value> inputs, Step& step) override {
    const Tensor sequence = go_backwards_ ? inputs[0].tensor.flip(1) : inputs[0].tensor;
    std::vector<Tensor> states;
    for (const Value& state : inputs.subspan(1)) states.push_back(state.tensor);
    if (states.empty()) {
      states.assign(cell_->state_count(),
                    at::zeros({sequence.size(0), cell_->units()}, sequence.options()));
    }
    const Tensor& mask = inputs[0].mask;
    Tensor keeps;  // the mask in the sequence's order
    if (mask.defined()) keeps = (go_backwards_ ? mask.flip(1) : mask).to(at::kBool);
    Tensor outputs;
    std::vector<Tensor> final_states;
    if (!cell_->RunFused(sequence, keeps, states, step.training, outputs, final_states)) {
      RunSteps(sequence, keeps, std::move(states), step.training, outputs, final_states);
    }
    const bool zeroes = keeps.defined() && zero_output_for_mask_;
    if (zeroes) outputs = outputs * keeps.unsqueeze(-1);
    Values values(1);
    if (return_sequences_) {
      values[0].tensor = outputs;
    } else {
      values[0].tensor = zeroes ? outputs.select(1, outputs.size(1) - 1) : final_states[0];
    }
    if (return_sequences_) values[0].mask = mask;
    if (return_state_) {
      for (Tensor& state : final_states) values.push_back({std::move(state), {}});
    }
    return values;
  }

  [[nodiscard]] bool return_sequences() const { return return_sequences_; }
  [[nodiscard]] bool return_state() const { return return_state_; }
  [[nodiscard]] bool go_backwards() const { return go_backwards_; }
  [[nodiscard]] std::size_t state_count() const { return cell_->state_count(); }
  void set_zero_output_for_mask(bool value) { zero_output_for_mask_ = value; }
  void set_cell_name(std::string name) { cell_name_ = std::move(name); }

 private:
  // Step by step; as RecurrentCell::RunFused.
  void RunSteps(const Tensor& sequence, const Tensor& mask, std::vector<Tensor> states,
                bool training, Tensor& outputs, std::vector<Tensor>& final_states) const {
    cell_->BeginSequence(sequence, training);
    const std::vector<Tensor> projected = cell_->Project(sequence).unbind(1);
    std::vector<Tensor> keeps;
    if (mask.defined()) keeps = mask.unsqueeze(-1).unbind(1);
    std::vector<Tensor> steps;
    steps.reserve(projected.size());
    for (std::size_t t = 0; t < projected.size(); ++t) {
      std::vector<Tensor> next = cell_->Step(projected[t], states);
      if (!keeps.empty()) {
        for (std::size_t i = 0; i < next.size(); ++i) {
          next[i] = at::where(keeps[t], next[i], states[i]);
        }
      }
      steps.push_back(next[0]);
      states = std::move(next);
    }
    outputs = at::stack(steps, 1);
    final_states = std::move(states);
  }

  std::unique_ptr<RecurrentCell> cell_;
  std::string cell_name_;
  bool return_sequences_, return_state_, go_backwards_, zero_output_for_mask_;
};

// SimpleRNN, LSTM, GRU: the layer's options are its cell's too.
template <const char* class_name>
std::unique_ptr<Layer> MakeRecurrent(ConfigReader& c) {
  std::unique_ptr<RecurrentCell> cell = MakeRecurrentCell(class_name, c);
  return std::make_unique<Recurrent>(c, std::move(cell));
}
constexpr char kSimpleRnn[] = "SimpleRNN";
constexpr char kLstm[] = "LSTM";
constexpr char kGru[] = "GRU";

// RNN(cell).
std::unique_ptr<Layer> MakeRnn(ConfigReader& c) {
  const Result<ObjectConfig> object = ParseObject(c.Any("cell"), "'cell'");
  std::unique_ptr<RecurrentCell> cell;
  std::string name;
  if (!object.ok()) {
    c.Fail(object.status());
  } else {
    ConfigReader options(object->config, "'cell' (" + object->name + ")");
    options.Ignore({"trainable", "dtype"});
    name = options.String("name", "cell");
    cell = MakeRecurrentCell(object->name, options);
    if (cell == nullptr) {
      c.Fail("'cell' of class '" + object->name + "' is not supported");
    } else {
      c.Fail(options.Finish());
    }
  }
  auto layer = std::make_unique<Recurrent>(c, std::move(cell));
  layer->set_cell_name(name);
  return layer;
}

class Bidirectional final : public Layer {
 public:
  explicit Bidirectional(ConfigReader& c) {
    if (!c.IsNull("merge_mode")) {
      merge_mode_ = c.Choice("merge_mode", "concat", {"concat", "sum", "ave", "mul"});
    }
    forward_ = Take(c, "layer", ReadLayer(c, "layer"));
    if (c.Has("backward_layer")) {
      backward_ = Take(c, "backward_layer", ReadLayer(c, "backward_layer"));
    } else if (forward_ != nullptr) {
      json mirrored = c.Any("layer");
      mirrored["config"]["go_backwards"] = !forward_->go_backwards();
      mirrored["config"]["name"] = "backward_" + forward_->identity.name;
      const json wrapped{{"backward_layer", std::move(mirrored)}};
      ConfigReader inner(wrapped, c.where());
      backward_ = Take(inner, "backward_layer", ReadLayer(inner, "backward_layer"));
      c.Adopt(inner.Finish());
    }
    if (forward_ == nullptr || backward_ == nullptr) return;
    if (forward_->go_backwards() == backward_->go_backwards() ||
        forward_->return_sequences() != backward_->return_sequences() ||
        forward_->return_state() != backward_->return_state()) {
      c.Fail("its layers do not mirror each other");
    }
    for (Recurrent* layer : {forward_.get(), backward_.get()}) {
      layer->set_zero_output_for_mask(layer->return_sequences());
    }
  }

  std::span<const std::string_view> Parameters() const override { return kSequenceParameters; }

  Status Build(const Call& call, const ShapeList& inputs, WeightMaker& weights) override {
    std::string name = forward_->identity.name;
    if (!name.starts_with("forward_")) name = "forward_" + name;
    const ShapeList sequence{inputs[0]};
    WeightMaker forward = weights.Inside("forward_layer", name, forward_->identity.class_name,
                                         forward_->identity.trainable);
    ELEPHAS_RETURN_IF_ERROR(forward_->Build(call, sequence, forward));
    WeightMaker backward =
        weights.Inside("backward_layer", backward_->identity.name, backward_->identity.class_name,
                       backward_->identity.trainable);
    return backward_->Build(call, sequence, backward);
  }

  Result<ShapeList> OutputShapes(const Call& call, const ShapeList& inputs) const override {
    const std::size_t states = inputs.size() - 1;
    if (states != 0 && states != 2 * forward_->state_count()) {
      return Invalid("takes " + std::to_string(2 * forward_->state_count()) + " initial states");
    }
    ELEPHAS_ASSIGN_OR_RETURN(ShapeList forward, forward_->OutputShapes(call, {inputs[0]}));
    ELEPHAS_ASSIGN_OR_RETURN(ShapeList backward, backward_->OutputShapes(call, {inputs[0]}));
    ShapeList outputs{forward[0]};
    if (merge_mode_ == "concat") outputs[0].back() += backward[0].back();
    if (merge_mode_.empty()) outputs.push_back(backward[0]);
    outputs.insert(outputs.end(), forward.begin() + 1, forward.end());
    outputs.insert(outputs.end(), backward.begin() + 1, backward.end());
    return outputs;
  }

  Values Run(const Call& call, std::span<const Value> inputs, Step& step) override {
    const std::size_t half = (inputs.size() - 1) / 2;
    Values first{inputs[0]};
    Values second{inputs[0]};
    first.insert(first.end(), inputs.begin() + 1,
                 inputs.begin() + 1 + static_cast<std::ptrdiff_t>(half));
    second.insert(second.end(), inputs.begin() + 1 + static_cast<std::ptrdiff_t>(half),
                  inputs.end());
    Values forward = forward_->Run(call, first, step);
    Values backward = backward_->Run(call, second, step);
    const Tensor& a = forward[0].tensor;
    const Tensor b = forward_->return_sequences() ? backward[0].tensor.flip(1) : backward[0].tensor;
    const Tensor mask = forward_->return_sequences() ? inputs[0].mask : Tensor();
    Values outputs;
    if (merge_mode_.empty()) {
      outputs = {{a, mask}, {b, mask}};
    } else {
      outputs = {{Merged(a, b), mask}};
    }
    outputs.insert(outputs.end(), forward.begin() + 1, forward.end());
    outputs.insert(outputs.end(), backward.begin() + 1, backward.end());
    return outputs;
  }

 private:
  static std::unique_ptr<Recurrent> Take(ConfigReader& c, const char* name,
                                         std::unique_ptr<Layer> layer) {
    if (layer == nullptr) return nullptr;
    auto* recurrent = dynamic_cast<Recurrent*>(layer.get());
    if (recurrent == nullptr) {
      c.Fail("'" + std::string(name) + "' of class '" + layer->identity.class_name +
             "' is not supported");
      return nullptr;
    }
    (void)layer.release();
    return std::unique_ptr<Recurrent>(recurrent);
  }

  [[nodiscard]] Tensor Merged(const Tensor& a, const Tensor& b) const {
    if (merge_mode_ == "sum") return a + b;
    if (merge_mode_ == "ave") return (a + b) / 2.0;
    if (merge_mode_ == "mul") return a * b;
    return at::cat({a, b}, -1);
  }

  std::string merge_mode_;  // empty (null in the config): two outputs
  std::unique_ptr<Recurrent> forward_, backward_;
};

// Applies a layer to every time step: steps are folded into the batch, unless the layer mixes rows.
class TimeDistributed final : public Layer {
 public:
  explicit TimeDistributed(ConfigReader& c) : inner_(ReadLayer(c, "layer")) {
    call_.arguments.push_back({"inputs", 0, 1, nullptr});
  }

  Status Build(const Call&, const ShapeList& inputs, WeightMaker& weights) override {
    ELEPHAS_ASSIGN_OR_RETURN(const Shape step, StepShape(inputs));
    WeightMaker maker = weights.Inside("layer", inner_->identity.name, inner_->identity.class_name,
                                       inner_->identity.trainable);
    inner_->identity.trainable = maker.trainable();
    ELEPHAS_RETURN_IF_ERROR(inner_->Build(call_, {step}, maker));
    ELEPHAS_ASSIGN_OR_RETURN(const ShapeList outputs, inner_->OutputShapes(call_, {step}));
    if (outputs.size() != 1) return Invalid("its layer must have one output");
    return OkStatus();
  }

  Result<ShapeList> OutputShapes(const Call&, const ShapeList& inputs) const override {
    ELEPHAS_ASSIGN_OR_RETURN(const Shape step, StepShape(inputs));
    ELEPHAS_ASSIGN_OR_RETURN(ShapeList outputs, inner_->OutputShapes(call_, {step}));
    outputs[0].insert(outputs[0].begin() + 1, inputs[0][1]);
    return outputs;
  }

  Values Run(const Call&, std::span<const Value> inputs, Step& step) override {
    const Tensor& x = inputs[0].tensor;
    if (step.training && inner_->MixesRows()) {
      std::vector<Tensor> steps;
      for (const Tensor& row : x.unbind(1)) steps.push_back(Apply(row, step));
      return {{at::stack(steps, 1), inputs[0].mask}};
    }
    const Tensor y = Apply(x.flatten(0, 1), step);
    return {{y.unflatten(0, {x.size(0), x.size(1)}), inputs[0].mask}};
  }
  bool TakesIntegers() const override { return inner_->TakesIntegers(); }
  std::vector<IndexLimit> IndexLimits(std::size_t input) const override {
    return inner_->IndexLimits(input);
  }
  bool MixesRows() const override { return inner_->MixesRows(); }

 private:
  static Result<Shape> StepShape(const ShapeList& inputs) {
    if (inputs.size() != 1) return Invalid("takes one input");
    if (inputs[0].size() < 3) return Invalid("needs an input of rank 3 or more");
    Shape step = inputs[0];
    step.erase(step.begin() + 1);
    return step;
  }
  Tensor Apply(const Tensor& x, Step& step) {
    const std::array<Value, 1> input{Value{x, {}}};
    return inner_->Run(call_, input, step)[0].tensor;
  }

  std::unique_ptr<Layer> inner_;
  Call call_;
};

constexpr std::array<LayerEntry, 6> kRecurrentLayers{{
    {"SimpleRNN", MakeRecurrent<kSimpleRnn>},
    {"LSTM", MakeRecurrent<kLstm>},
    {"GRU", MakeRecurrent<kGru>},
    {"RNN", MakeRnn},
    {"Bidirectional", MakeLayer<Bidirectional>},
    {"TimeDistributed", MakeLayer<TimeDistributed>},
}};

}  // namespace

std::span<const LayerEntry> RecurrentLayers() { return kRecurrentLayers; }

}  // namespace elephas::keras
