#include "worker/keras/recurrent/lstm_sequence.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>

#include "worker/keras/recurrent/lstm_loops.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

lstm::In Read(const Tensor& x) { return {x.const_data_ptr<float>(), x.stride(0)}; }
lstm::Out Write(const Tensor& x) { return {x.mutable_data_ptr<float>(), x.stride(0)}; }
// Step t of [N, T, …]; a select() would cost more than some of the loops.
lstm::In Read(const Tensor& x, std::int64_t t) {
  return {x.const_data_ptr<float>() + t * x.stride(1), x.stride(0)};
}
lstm::Out Write(const Tensor& x, std::int64_t t) {
  return {x.mutable_data_ptr<float>() + t * x.stride(1), x.stride(0)};
}

lstm::Step StepOf(const Tensor& gates, const Tensor& mask, std::int64_t t) {
  lstm::Step step{gates.size(0), gates.size(2) / 4, Read(gates, t), nullptr, 0};
  if (mask.defined()) {
    step.keep = mask.const_data_ptr<bool>() + t * mask.stride(1);
    step.keep_stride = mask.stride(0);
  }
  return step;
}

// What backward needs of forward; [N, T, …] each.
struct Trace {
  Tensor gates, states, carries, squashed, mask;
};

class LstmFunction : public torch::autograd::Function<LstmFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& inputs, const Tensor& kernel,
                               const Tensor& recurrent, const Tensor& bias, const Tensor& state,
                               const Tensor& carry, const Tensor* mask) {
    const std::int64_t rows = inputs.size(0);
    const std::int64_t steps = inputs.size(1);
    const std::int64_t units = state.size(1);
    const Tensor flat = inputs.reshape({rows * steps, -1});
    Trace trace;
    trace.gates = at::addmm(bias, flat, kernel).view({rows, steps, 4 * units});
    trace.states = at::empty({rows, steps, units}, inputs.options());
    trace.carries = at::empty_like(trace.states);
    trace.squashed = at::empty_like(trace.states);
    trace.mask = *mask;
    Tensor before = state.contiguous();
    Tensor carry_before = carry.contiguous();
    for (std::int64_t t = 0; t < steps; ++t) {
      Tensor gates = trace.gates.select(1, t);
      gates.addmm_(before, recurrent);
      gates.narrow(1, 0, 2 * units).sigmoid_();
      gates.narrow(1, 2 * units, units).tanh_();
      gates.narrow(1, 3 * units, units).sigmoid_();
      const lstm::Step step = StepOf(trace.gates, trace.mask, t);
      const Tensor carry_after = trace.carries.select(1, t);
      lstm::Carry(step, Read(carry_before), Write(carry_after));
      Tensor squashed = trace.squashed.select(1, t);
      at::tanh_out(squashed, carry_after);
      const Tensor after = trace.states.select(1, t);
      lstm::State(step, Read(squashed), Read(before), Write(after));
      before = after;
      carry_before = carry_after;
    }
    context->set_materialize_grads(false);
    context->save_for_backward({inputs, kernel, recurrent, bias, state, carry});
    context->saved_data["gates"] = trace.gates;
    context->saved_data["states"] = trace.states;
    context->saved_data["carries"] = trace.carries;
    context->saved_data["squashed"] = trace.squashed;
    if (trace.mask.defined()) context->saved_data["mask"] = trace.mask;
    // Outputs of their own: `states` is read again in backward.
    return {trace.states.clone(), before.clone(), carry_before.clone()};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor& inputs = saved[0];
    const Tensor& kernel = saved[1];
    const Tensor& recurrent = saved[2];
    const Tensor gates = context->saved_data["gates"].toTensor();
    const Tensor states = context->saved_data["states"].toTensor();
    const Tensor carries = context->saved_data["carries"].toTensor();
    const Tensor squashed = context->saved_data["squashed"].toTensor();
    const auto found = context->saved_data.find("mask");
    const Tensor mask = found == context->saved_data.end() ? Tensor() : found->second.toTensor();
    const std::int64_t rows = gates.size(0);
    const std::int64_t steps = gates.size(1);
    const std::int64_t units = states.size(2);

    const auto taken = [&](const Tensor& gradient) {
      return gradient.defined() ? gradient.clone(at::MemoryFormat::Contiguous)
                                : at::zeros({rows, units}, gates.options());
    };
    Tensor d_state = taken(gradients[1]);
    const Tensor d_carry = taken(gradients[2]);
    const Tensor first_carry = saved[5].contiguous();
    const Tensor recurrent_t = recurrent.t();
    for (std::int64_t t = steps - 1; t >= 0; --t) {
      if (gradients[0].defined()) d_state.add_(gradients[0].select(1, t));
      // The gates' gradients take the gates' place.
      lstm::Backward(StepOf(gates, mask, t), Read(squashed, t),
                     t > 0 ? Read(carries, t - 1) : Read(first_carry), Write(d_state),
                     Write(d_carry), Write(gates, t));
      d_state.addmm_(gates.select(1, t), recurrent_t);
    }
    const Tensor flat = gates.view({rows * steps, 4 * units});
    const Tensor before =
        at::cat({saved[4].unsqueeze(1), states.narrow(1, 0, steps - 1)}, 1).view({-1, units});
    variable_list result(7);
    if (context->needs_input_grad(0)) {
      result[0] = at::mm(flat, kernel.t()).view(inputs.sizes());
    }
    result[1] = at::mm(inputs.reshape({rows * steps, -1}).t(), flat);
    result[2] = at::mm(before.t(), flat);
    if (context->needs_input_grad(3)) result[3] = flat.sum(0);
    result[4] = d_state;
    result[5] = d_carry;
    return result;
  }
};

}  // namespace

LstmSequence RunLstm(const Tensor& inputs, const Tensor& kernel, const Tensor& recurrent_kernel,
                     const Tensor& bias, const Tensor& state, const Tensor& carry,
                     const Tensor& mask) {
  const Tensor added = bias.defined() ? bias : at::zeros({kernel.size(1)}, kernel.options());
  const variable_list results =
      LstmFunction::apply(inputs, kernel, recurrent_kernel, added, state, carry, &mask);
  return {results[0], results[1], results[2]};
}

}  // namespace elephas::keras
