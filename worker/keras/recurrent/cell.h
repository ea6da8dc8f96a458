// The cells of recurrent layers: what happens in one time step (keras/src/layers/rnn).
//
// A cell multiplies the inputs of all steps by its kernel at once (Project); what is left for each
// step is the recurrent half.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/config_reader.h"
#include "worker/keras/config/shape.h"
#include "worker/keras/functions/activation.h"
#include "worker/keras/weights/weight.h"

namespace elephas::keras {

class RecurrentCell {
 public:
  virtual ~RecurrentCell() = default;

  [[nodiscard]] virtual std::string_view class_name() const = 0;    // "LSTMCell"
  [[nodiscard]] virtual std::string_view default_name() const = 0;  // "lstm_cell"
  // Number of state tensors, each [batch, units]; the first is the output.
  [[nodiscard]] virtual std::size_t state_count() const { return 1; }
  [[nodiscard]] std::int64_t units() const { return units_; }
  [[nodiscard]] bool random() const { return dropout_ > 0.0 || recurrent_dropout_ > 0.0; }

  Status Build(std::int64_t features, WeightMaker& weights);

  // Draws the masks of one sequence; they are the same in every step.
  void BeginSequence(const at::Tensor& inputs, bool training);
  // [N, T, features] -> [N, T, gates * units], biases included.
  [[nodiscard]] at::Tensor Project(const at::Tensor& inputs) const;
  // The new states from one step's projection [N, gates * units].
  [[nodiscard]] virtual std::vector<at::Tensor> Step(
      const at::Tensor& projected, const std::vector<at::Tensor>& states) const = 0;
  // The whole sequence at once: the first state after each step, [N, T, units], and the final
  // states. `mask` is bool [N, T] or undefined; a masked step keeps the states. False when this
  // cell's options, or the mask, rule it out.
  virtual bool RunFused(const at::Tensor& /*inputs*/, const at::Tensor& /*mask*/,
                        const std::vector<at::Tensor>& /*states*/, bool /*training*/,
                        at::Tensor& /*outputs*/, std::vector<at::Tensor>& /*final_states*/) {
    return false;
  }

 protected:
  RecurrentCell(ConfigReader& c, std::int64_t gates, const char* recurrent_initializer);

  virtual Shape BiasShape() const { return {gates_ * units_}; }
  virtual Initializer BiasInitializer(Initializer given) const { return given; }
  // What Project adds; undefined without a bias.
  [[nodiscard]] virtual at::Tensor InputBias() const;
  // The inputs with what BeginSequence drops of them; the same for all gates.
  [[nodiscard]] at::Tensor Dropped(const at::Tensor& inputs) const;
  // h times the recurrent kernel's columns of gates [first, last), dropout included.
  [[nodiscard]] at::Tensor Recurrent(const at::Tensor& h, std::int64_t first,
                                     std::int64_t last) const;

  std::int64_t units_ = 0, gates_ = 0;
  Activation activation_;
  bool use_bias_ = true;
  double dropout_ = 0.0, recurrent_dropout_ = 0.0;
  Weight* kernel_ = nullptr;
  Weight* recurrent_ = nullptr;
  Weight* bias_ = nullptr;

 private:
  [[nodiscard]] bool MasksPerGate() const { return gates_ > 1 && recurrent_dropout_ > 0.0; }

  WeightOptions kernel_options_, recurrent_options_, bias_options_;
  // One, or one for each gate; empty when nothing is dropped.
  std::vector<at::Tensor> input_masks_, recurrent_masks_;
};

// "SimpleRNN", "LSTM", "GRU", or the same with "Cell" behind; null for another class.
std::unique_ptr<RecurrentCell> MakeRecurrentCell(std::string_view class_name, ConfigReader& config);

}  // namespace elephas::keras
