// The sequence as one operation against the formulas step by step, differentiated by LibTorch.
#include "worker/keras/recurrent/lstm_sequence.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <ostream>
#include <string>
#include <vector>

namespace elephas::keras {
namespace {

using at::Tensor;

constexpr std::int64_t kRows = 3;
constexpr std::int64_t kSteps = 5;
constexpr std::int64_t kFeatures = 4;
constexpr std::int64_t kUnits = 7;

struct Case {
  const char* name;
  bool bias, masked;
  bool sequence;  // whether the loss looks at each step or only at the final state and carry
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

LstmSequence StepByStep(const Tensor& inputs, const Tensor& kernel, const Tensor& recurrent,
                        const Tensor& bias, const Tensor& first_state, const Tensor& first_carry,
                        const Tensor& mask) {
  Tensor state = first_state;
  Tensor carry = first_carry;
  std::vector<Tensor> states;
  for (std::int64_t t = 0; t < kSteps; ++t) {
    Tensor z = at::mm(inputs.select(1, t), kernel) + at::mm(state, recurrent);
    if (bias.defined()) z = z + bias;
    const std::vector<Tensor> gates = z.chunk(4, 1);
    const Tensor next_carry =
        at::sigmoid(gates[1]) * carry + at::sigmoid(gates[0]) * at::tanh(gates[2]);
    const Tensor next_state = at::sigmoid(gates[3]) * at::tanh(next_carry);
    if (mask.defined()) {
      const Tensor keep = mask.select(1, t).unsqueeze(1);
      carry = at::where(keep, next_carry, carry);
      state = at::where(keep, next_state, state);
    } else {
      carry = next_carry;
      state = next_state;
    }
    states.push_back(state);
  }
  return {at::stack(states, 1), state, carry};
}

class Lstm : public testing::TestWithParam<Case> {};

TEST_P(Lstm, GivesWhatTheFormulasGiveForwardAndBackward) {
  at::manual_seed(11);
  const auto leaf = [](at::IntArrayRef sizes) { return at::randn(sizes).requires_grad_(true); };
  const std::vector<Tensor> leaves{leaf({kRows, kSteps, kFeatures}),
                                   leaf({kFeatures, 4 * kUnits}),
                                   leaf({kUnits, 4 * kUnits}),
                                   leaf({4 * kUnits}),
                                   leaf({kRows, kUnits}),
                                   leaf({kRows, kUnits})};
  const Tensor bias = GetParam().bias ? leaves[3] : Tensor();
  Tensor mask;
  if (GetParam().masked) {
    mask = at::rand({kRows, kSteps}) < 0.6;
    mask.select(0, 1).fill_(false);  // a row of nothing but padding
  }
  const Tensor state_weights = at::randn({kRows, kUnits});
  const Tensor carry_weights = at::randn({kRows, kUnits});
  const Tensor step_weights = at::randn({kRows, kSteps, kUnits});

  std::vector<std::vector<Tensor>> answers;
  for (const auto& run : std::array{&RunLstm, &StepByStep}) {
    const LstmSequence out = run(leaves[0], leaves[1], leaves[2], bias, leaves[4], leaves[5], mask);
    Tensor loss = (out.final_state * state_weights).sum() + (out.final_carry * carry_weights).sum();
    if (GetParam().sequence) loss = loss + (out.states * step_weights).sum();
    for (const Tensor& tensor : leaves) tensor.mutable_grad() = Tensor();
    loss.backward();
    std::vector<Tensor>& answer = answers.emplace_back(std::vector<Tensor>{
        out.states.detach(), out.final_state.detach(), out.final_carry.detach()});
    for (const Tensor& tensor : leaves) {
      answer.push_back(tensor.grad().defined() ? tensor.grad().clone() : at::zeros({0}));
    }
  }
  const std::vector<std::string> names{"states",   "final state", "final carry",
                                       "d inputs", "d kernel",    "d recurrent kernel",
                                       "d bias",   "d state",     "d carry"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_EQ(answers[0][i].sizes(), answers[1][i].sizes()) << names[i];
    EXPECT_TRUE(at::allclose(answers[0][i], answers[1][i], 1e-5, 1e-6)) << names[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Lstm,
                         testing::Values(Case{"final state only", true, false, false},
                                         Case{"sequence", true, false, true},
                                         Case{"without bias", false, false, true},
                                         Case{"masked", true, true, true},
                                         Case{"masked, final state only", true, true, false}),
                         [](const testing::TestParamInfo<Case>& test) {
                           std::string name = test.param.name;
                           for (char& c : name) c = c == ' ' || c == ',' ? '_' : c;
                           return name;
                         });

TEST(LstmOutside, DoesNotRecordWhatIsNotTrained) {
  const Tensor inputs = at::randn({kRows, kSteps, kFeatures});
  const Tensor zeros = at::zeros({kRows, kUnits});
  const LstmSequence out = RunLstm(inputs, at::randn({kFeatures, 4 * kUnits}),
                                   at::randn({kUnits, 4 * kUnits}), {}, zeros, zeros, {});
  EXPECT_FALSE(out.states.requires_grad());
}

}  // namespace
}  // namespace elephas::keras
