// The arithmetic of one LSTM step that LibTorch has no single operation for: plain loops over rows.
#pragma once

#include <cstdint>

namespace elephas::keras::lstm {

// A matrix [rows, units] inside a larger array: `stride` floats from one row to the next.
template <typename Float>
struct Rows {
  Float* data;
  std::int64_t stride;
  [[nodiscard]] Float* Row(std::int64_t row) const { return data + row * stride; }
};
using Out = Rows<float>;
using In = Rows<const float>;

// One step of a batch. `gates` has 4 x units columns: input, forget, candidate, output, after their
// activations. keep[row * keep_stride] is false where the step is masked; null: no mask.
struct Step {
  std::int64_t rows, units;
  In gates;
  const bool* keep;
  std::int64_t keep_stride;

  [[nodiscard]] bool Keeps(std::int64_t row) const {
    return keep == nullptr || keep[row * keep_stride];
  }
};

// carry = forget * before + input * candidate; a masked row keeps what was before.
void Carry(const Step& step, In before, Out carry);
// state = output * tanh_carry; a masked row keeps what was before.
void State(const Step& step, In tanh_carry, In before, Out state);

// The gradients of one step. In: `d_state` and `d_carry` of what the step gave. Out: `d_gates`,
// before their activations (may be the gates' own memory); `d_carry` of what it was given; and in
// `d_state` what passes a masked step unchanged, for the rest zero.
void Backward(const Step& step, In tanh_carry, In carry_before, Out d_state, Out d_carry,
              Out d_gates);

}  // namespace elephas::keras::lstm
