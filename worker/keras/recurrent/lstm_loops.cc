#include "worker/keras/recurrent/lstm_loops.h"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ELEPHAS_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define ELEPHAS_VECTOR_CLONES
#endif

namespace elephas::keras::lstm {

ELEPHAS_VECTOR_CLONES
void Carry(const Step& step, In before, Out carry) {
  const std::int64_t units = step.units;
  for (std::int64_t row = 0; row < step.rows; ++row) {
    const float* __restrict old = before.Row(row);
    float* __restrict out = carry.Row(row);
    if (!step.Keeps(row)) {
      std::copy_n(old, units, out);
      continue;
    }
    const float* __restrict input = step.gates.Row(row);
    const float* __restrict forget = input + units;
    const float* __restrict candidate = forget + units;
    for (std::int64_t i = 0; i < units; ++i) out[i] = forget[i] * old[i] + input[i] * candidate[i];
  }
}

ELEPHAS_VECTOR_CLONES
void State(const Step& step, In tanh_carry, In before, Out state) {
  const std::int64_t units = step.units;
  for (std::int64_t row = 0; row < step.rows; ++row) {
    float* __restrict out = state.Row(row);
    if (!step.Keeps(row)) {
      std::copy_n(before.Row(row), units, out);
      continue;
    }
    const float* __restrict output = step.gates.Row(row) + 3 * units;
    const float* __restrict squashed = tanh_carry.Row(row);
    for (std::int64_t i = 0; i < units; ++i) out[i] = output[i] * squashed[i];
  }
}

namespace {

// `d_gates` may lie where the gates do, so there is no __restrict between the two; each element is
// read before it is written.
ELEPHAS_VECTOR_CLONES
void BackwardRow(std::int64_t units, const float* gates, const float* __restrict squashed,
                 const float* __restrict before, float* __restrict d_state,
                 float* __restrict d_carry, float* d_gates) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < units; ++i) {
    const float input = gates[i];
    const float forget = gates[units + i];
    const float candidate = gates[2 * units + i];
    const float output = gates[3 * units + i];
    const float d_output = d_state[i] * squashed[i];
    const float d_new = d_carry[i] + d_state[i] * output * (1.0F - squashed[i] * squashed[i]);
    d_gates[i] = d_new * candidate * input * (1.0F - input);
    d_gates[units + i] = d_new * before[i] * forget * (1.0F - forget);
    d_gates[2 * units + i] = d_new * input * (1.0F - candidate * candidate);
    d_gates[3 * units + i] = d_output * output * (1.0F - output);
    d_carry[i] = d_new * forget;
    d_state[i] = 0.0F;
  }
}

}  // namespace

void Backward(const Step& step, In tanh_carry, In carry_before, Out d_state, Out d_carry,
              Out d_gates) {
  for (std::int64_t row = 0; row < step.rows; ++row) {
    if (!step.Keeps(row)) {
      std::fill_n(d_gates.Row(row), 4 * step.units, 0.0F);
      continue;
    }
    BackwardRow(step.units, step.gates.Row(row), tanh_carry.Row(row), carry_before.Row(row),
                d_state.Row(row), d_carry.Row(row), d_gates.Row(row));
  }
}

}  // namespace elephas::keras::lstm
