#include "worker/keras/recurrent/cell.h"

#include <algorithm>
#include <array>
#include <utility>

#include "worker/keras/functions/dropout_mask.h"
#include "worker/keras/recurrent/lstm_sequence.h"

namespace elephas::keras {

namespace {

using at::Tensor;

constexpr std::int64_t kMaxUnits = std::int64_t{1} << 28;

double ReadRate(ConfigReader& c, const char* name) {
  return std::clamp(c.Number(name, 0.0), 0.0, 1.0);
}

}  // namespace

RecurrentCell::RecurrentCell(ConfigReader& c, std::int64_t gates, const char* recurrent_initializer)
    : units_(c.Int("units", std::nullopt, 1, kMaxUnits)),
      gates_(gates),
      activation_(ReadActivation(c, "activation", "tanh")),
      use_bias_(c.Bool("use_bias", true)),
      dropout_(ReadRate(c, "dropout")),
      recurrent_dropout_(ReadRate(c, "recurrent_dropout")) {
  kernel_options_ = {ReadInitializer(c, "kernel_initializer", "glorot_uniform"), true,
                     ReadRegularizer(c, "kernel_regularizer"),
                     ReadConstraint(c, "kernel_constraint")};
  recurrent_options_ = {ReadInitializer(c, "recurrent_initializer", recurrent_initializer), true,
                        ReadRegularizer(c, "recurrent_regularizer"),
                        ReadConstraint(c, "recurrent_constraint")};
  bias_options_ = {ReadInitializer(c, "bias_initializer", "zeros"), true,
                   ReadRegularizer(c, "bias_regularizer"), ReadConstraint(c, "bias_constraint")};
  // How the same numbers are computed.
  c.Ignore({"seed", "implementation", "use_cudnn"});
}

Status RecurrentCell::Build(std::int64_t features, WeightMaker& weights) {
  weights.group().random = true;  // Keras' cells always keep a seed generator
  ELEPHAS_ASSIGN_OR_RETURN(kernel_,
                           weights.Add("kernel", {features, gates_ * units_}, kernel_options_));
  ELEPHAS_ASSIGN_OR_RETURN(
      recurrent_, weights.Add("recurrent_kernel", {units_, gates_ * units_}, recurrent_options_));
  if (use_bias_) {
    bias_options_.initializer = BiasInitializer(std::move(bias_options_.initializer));
    ELEPHAS_ASSIGN_OR_RETURN(bias_, weights.Add("bias", BiasShape(), bias_options_));
  }
  return OkStatus();
}

void RecurrentCell::BeginSequence(const Tensor& inputs, bool training) {
  input_masks_.clear();
  recurrent_masks_.clear();
  if (!training) return;
  const std::int64_t count = MasksPerGate() ? gates_ : 1;
  const Shape row{inputs.size(0), inputs.size(2)};
  const Shape state{inputs.size(0), units_};
  for (std::int64_t i = 0; i < count; ++i) {
    if (dropout_ > 0.0) input_masks_.push_back(DropoutMask(row, inputs.options(), dropout_));
    if (recurrent_dropout_ > 0.0) {
      recurrent_masks_.push_back(DropoutMask(state, inputs.options(), recurrent_dropout_));
    }
  }
}

Tensor RecurrentCell::InputBias() const { return bias_ == nullptr ? Tensor() : bias_->tensor; }

Tensor RecurrentCell::Dropped(const Tensor& inputs) const {
  return input_masks_.empty() ? inputs : inputs * input_masks_[0].unsqueeze(1);
}

Tensor RecurrentCell::Project(const Tensor& inputs) const {
  Tensor projected;
  if (input_masks_.size() > 1) {
    std::vector<Tensor> parts;
    for (std::int64_t gate = 0; gate < gates_; ++gate) {
      const Tensor masked = inputs * input_masks_[static_cast<std::size_t>(gate)].unsqueeze(1);
      parts.push_back(at::matmul(masked, kernel_->tensor.narrow(1, gate * units_, units_)));
    }
    projected = at::cat(parts, -1);
  } else {
    projected = at::matmul(Dropped(inputs), kernel_->tensor);
  }
  const Tensor bias = InputBias();
  return bias.defined() ? projected + bias : projected;
}

Tensor RecurrentCell::Recurrent(const Tensor& h, std::int64_t first, std::int64_t last) const {
  const auto columns = [&](std::int64_t from, std::int64_t to) {
    return recurrent_->tensor.narrow(1, from * units_, (to - from) * units_);
  };
  if (recurrent_masks_.empty()) return at::matmul(h, columns(first, last));
  if (recurrent_masks_.size() == 1)
    return at::matmul(h * recurrent_masks_[0], columns(first, last));
  std::vector<Tensor> parts;
  for (std::int64_t gate = first; gate < last; ++gate) {
    parts.push_back(
        at::matmul(h * recurrent_masks_[static_cast<std::size_t>(gate)], columns(gate, gate + 1)));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts, -1);
}

namespace {

// A kernel as LibTorch's fused operations have it. cuDNN takes no views.
Tensor Transposed(const Tensor& kernel) {
  return kernel.is_cuda() ? kernel.t().contiguous() : kernel.t();
}

// A state as that of the only one of a stack of layers.
Tensor Stacked(const Tensor& state) {
  return state.is_cuda() ? state.unsqueeze(0).contiguous() : state.unsqueeze(0);
}

class SimpleCell final : public RecurrentCell {
 public:
  explicit SimpleCell(ConfigReader& c) : RecurrentCell(c, 1, "orthogonal") {}
  std::string_view class_name() const override { return "SimpleRNNCell"; }
  std::string_view default_name() const override { return "simple_rnn_cell"; }
  std::vector<Tensor> Step(const Tensor& projected,
                           const std::vector<Tensor>& states) const override {
    return {activation_(projected + Recurrent(states[0], 0, 1))};
  }
};

// Gates in Keras' order: input, forget, candidate, output; LibTorch's is the same.
class LstmCell final : public RecurrentCell {
 public:
  explicit LstmCell(ConfigReader& c)
      : RecurrentCell(c, 4, "orthogonal"),
        gate_(ReadActivation(c, "recurrent_activation", "sigmoid")),
        unit_forget_bias_(c.Bool("unit_forget_bias", true)) {}
  std::string_view class_name() const override { return "LSTMCell"; }
  std::string_view default_name() const override { return "lstm_cell"; }
  std::size_t state_count() const override { return 2; }

  std::vector<Tensor> Step(const Tensor& projected,
                           const std::vector<Tensor>& states) const override {
    const std::vector<Tensor> z = (projected + Recurrent(states[0], 0, 4)).chunk(4, 1);
    const Tensor carry = gate_(z[1]) * states[1] + gate_(z[0]) * activation_(z[2]);
    return {gate_(z[3]) * activation_(carry), carry};
  }

  bool RunFused(const Tensor& inputs, const Tensor& mask, const std::vector<Tensor>& states,
                bool training, Tensor& outputs, std::vector<Tensor>& final_states) override {
    if (activation_.name != "tanh" || gate_.name != "sigmoid") return false;
    // oneDNN's is a little faster where it will do.
    if (!mask.defined() && !(training && random())) {
      RunUnmasked(inputs, states, training, outputs, final_states);
      return true;
    }
    if ((training && recurrent_dropout_ > 0.0) || !inputs.is_cpu()) return false;
    BeginSequence(inputs, training);
    LstmSequence sequence =
        RunLstm(Dropped(inputs), kernel_->tensor, recurrent_->tensor,
                bias_ == nullptr ? Tensor() : bias_->tensor, states[0], states[1], mask);
    outputs = std::move(sequence.states);
    final_states = {std::move(sequence.final_state), std::move(sequence.final_carry)};
    return true;
  }

 protected:
  Initializer BiasInitializer(Initializer given) const override {
    if (!unit_forget_bias_) return given;
    const auto units = static_cast<std::size_t>(units_);
    return [given, units](const Shape& shape, std::uint64_t seed, std::span<float> values) {
      given(shape, seed, values);
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(units), units, 1.0F);
    };
  }

 private:
  void RunUnmasked(const Tensor& inputs, const std::vector<Tensor>& states, bool training,
                   Tensor& outputs, std::vector<Tensor>& final_states) const {
    std::vector<Tensor> parameters{Transposed(kernel_->tensor), Transposed(recurrent_->tensor)};
    if (bias_ != nullptr) {
      parameters.push_back(bias_->tensor);
      parameters.push_back(at::zeros_like(bias_->tensor));
    }
    auto [sequence, h, c] =
        at::lstm(inputs, {Stacked(states[0]), Stacked(states[1])}, parameters, bias_ != nullptr, 1,
                 0.0, training, false, /*batch_first=*/true);
    outputs = sequence;
    final_states = {h.squeeze(0), c.squeeze(0)};
  }

  Activation gate_;
  bool unit_forget_bias_;
};

// Gates in Keras' order: update, reset, candidate; LibTorch wants reset, update, candidate.
class GruCell final : public RecurrentCell {
 public:
  explicit GruCell(ConfigReader& c)
      : RecurrentCell(c, 3, "orthogonal"),
        gate_(ReadActivation(c, "recurrent_activation", "sigmoid")),
        reset_after_(c.Bool("reset_after", true)) {}
  std::string_view class_name() const override { return "GRUCell"; }
  std::string_view default_name() const override { return "gru_cell"; }

  std::vector<Tensor> Step(const Tensor& projected,
                           const std::vector<Tensor>& states) const override {
    const Tensor& h = states[0];
    const std::vector<Tensor> x = projected.chunk(3, 1);
    Tensor update, candidate;
    if (reset_after_) {
      Tensor inner = Recurrent(h, 0, 3);
      if (bias_ != nullptr) inner = inner + bias_->tensor.select(0, 1);
      const std::vector<Tensor> r = inner.chunk(3, 1);
      update = gate_(x[0] + r[0]);
      candidate = activation_(x[2] + gate_(x[1] + r[1]) * r[2]);
    } else {
      const std::vector<Tensor> r = Recurrent(h, 0, 2).chunk(2, 1);
      update = gate_(x[0] + r[0]);
      candidate = activation_(x[2] + Recurrent(gate_(x[1] + r[1]) * h, 2, 3));
    }
    return {update * h + (1.0 - update) * candidate};
  }

  bool RunFused(const Tensor& inputs, const Tensor& mask, const std::vector<Tensor>& states,
                bool training, Tensor& outputs, std::vector<Tensor>& final_states) override {
    const bool drops = training && random();
    if (mask.defined() || drops || !reset_after_ || activation_.name != "tanh" ||
        gate_.name != "sigmoid") {
      return false;
    }
    std::vector<Tensor> parameters{Transposed(Reordered(kernel_->tensor)),
                                   Transposed(Reordered(recurrent_->tensor))};
    if (bias_ != nullptr) {
      parameters.push_back(Reordered(bias_->tensor.select(0, 0)));
      parameters.push_back(Reordered(bias_->tensor.select(0, 1)));
    }
    auto [sequence, h] = at::gru(inputs, Stacked(states[0]), parameters, bias_ != nullptr, 1, 0.0,
                                 training, false, /*batch_first=*/true);
    outputs = sequence;
    final_states = {h.squeeze(0)};
    return true;
  }

 protected:
  Shape BiasShape() const override {
    return reset_after_ ? Shape{2, 3 * units_} : Shape{3 * units_};
  }
  Tensor InputBias() const override {
    if (bias_ == nullptr) return {};
    return reset_after_ ? bias_->tensor.select(0, 0) : bias_->tensor;
  }

 private:
  [[nodiscard]] Tensor Reordered(const Tensor& x) const {
    const std::int64_t axis = x.dim() - 1;
    return at::cat({x.narrow(axis, units_, units_), x.narrow(axis, 0, units_),
                    x.narrow(axis, 2 * units_, units_)},
                   axis);
  }
  Activation gate_;
  bool reset_after_;
};

template <typename Cell>
std::unique_ptr<RecurrentCell> Make(ConfigReader& config) {
  return std::make_unique<Cell>(config);
}

struct CellEntry {
  std::string_view layer, cell;
  std::unique_ptr<RecurrentCell> (*make)(ConfigReader&);
};
constexpr std::array<CellEntry, 3> kCells{{
    {"SimpleRNN", "SimpleRNNCell", Make<SimpleCell>},
    {"LSTM", "LSTMCell", Make<LstmCell>},
    {"GRU", "GRUCell", Make<GruCell>},
}};

}  // namespace

std::unique_ptr<RecurrentCell> MakeRecurrentCell(std::string_view class_name,
                                                 ConfigReader& config) {
  for (const CellEntry& entry : kCells) {
    if (class_name == entry.layer || class_name == entry.cell) return entry.make(config);
  }
  return nullptr;
}

}  // namespace elephas::keras
