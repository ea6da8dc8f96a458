// A whole LSTM sequence as one operation on the CPU, masks included.
//
// Step by step through autograd, a step is some forty small operations forward and backward, and
// most of the time goes into calling them. Here a step is one matrix product, four activations and
// two loops, its backward one loop and one product; the products with the inputs' kernel, and those
// that give the gradients of both kernels, are done for all steps at once.
#pragma once

#include <ATen/ATen.h>

namespace elephas::keras {

struct LstmSequence {
  at::Tensor states;       // [N, T, units], the state after each step
  at::Tensor final_state;  // [N, units]
  at::Tensor final_carry;  // [N, units]
};

// Kernels, gates and bias in Keras' layout and order; tanh and sigmoid. `bias` and `mask` may be
// undefined; mask is bool [N, T], false: the step changes nothing. Everything float32 on the CPU.
// The graph can be differentiated once.
LstmSequence RunLstm(const at::Tensor& inputs, const at::Tensor& kernel,
                     const at::Tensor& recurrent_kernel, const at::Tensor& bias,
                     const at::Tensor& state, const at::Tensor& carry, const at::Tensor& mask);

}  // namespace elephas::keras
