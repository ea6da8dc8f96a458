// The operations against the formulas in LibTorch's own, forward and differentiated.
#include "worker/keras/losses/class_crossentropy.h"

#include <gtest/gtest.h>

#include <limits>

#include "worker/keras/losses/loss.h"

namespace elephas::keras {
namespace {

using at::Tensor;

Tensor Formula(const Tensor& probabilities, const Tensor& targets) {
  const Tensor ratio = probabilities / probabilities.sum(-1, /*keepdim=*/true);
  return -(targets * at::log(at::clamp(ratio, kEpsilon, 1.0 - kEpsilon))).sum(-1);
}

Tensor OneHot(const Tensor& classes, std::int64_t count) {
  return at::zeros({classes.size(0), count}).scatter_(1, classes.unsqueeze(1), 1.0);
}

// Rows that do not add up to 1, a certain one, and one whose class has no probability at all.
Tensor Probabilities() {
  at::manual_seed(5);
  Tensor values = at::rand({6, 4});
  values[1].copy_(at::tensor({0.0F, 1.0F, 0.0F, 0.0F}));
  values[2].copy_(at::tensor({0.5F, 0.0F, 0.25F, 0.25F}));
  return values;
}

const Tensor kClasses = at::tensor({3, 1, 1, 0, 2, 2}, at::kLong);

struct Outcome {
  Tensor losses, gradient;
};

template <typename Function>
Outcome Differentiate(const Tensor& values, const Function& losses_of) {
  const Tensor probabilities = values.clone().requires_grad_(true);
  const Tensor losses = losses_of(probabilities);
  // Each row counts for something else, as with sample weights.
  (losses * at::arange(1.0F, static_cast<float>(losses.size(0)) + 1.0F)).sum().backward();
  return {losses.detach(), probabilities.grad()};
}

void ExpectClose(const Outcome& ours, const Outcome& formula) {
  EXPECT_TRUE(at::allclose(ours.losses, formula.losses, 1e-6, 1e-7, /*equal_nan=*/true))
      << ours.losses << formula.losses;
  EXPECT_TRUE(at::allclose(ours.gradient, formula.gradient, 1e-5, 1e-6, /*equal_nan=*/true))
      << ours.gradient << formula.gradient;
}

TEST(SparseCrossentropy, GivesWhatTheFormulaGives) {
  ExpectClose(Differentiate(Probabilities(),
                            [](const Tensor& p) { return SparseCrossentropy(p, kClasses); }),
              Differentiate(Probabilities(),
                            [](const Tensor& p) { return Formula(p, OneHot(kClasses, 4)); }));
}

TEST(SparseCrossentropy, TakesWhatIsNotContiguous) {
  const Tensor values = Probabilities().t().contiguous().t();
  ASSERT_FALSE(values.is_contiguous());
  ExpectClose(
      Differentiate(values, [](const Tensor& p) { return SparseCrossentropy(p, kClasses); }),
      Differentiate(values, [](const Tensor& p) { return Formula(p, OneHot(kClasses, 4)); }));
}

TEST(SparseCrossentropy, ANanStaysOne) {
  Tensor values = Probabilities();
  values[3][2] = std::numeric_limits<float>::quiet_NaN();
  const Outcome ours =
      Differentiate(values, [](const Tensor& p) { return SparseCrossentropy(p, kClasses); });
  EXPECT_EQ(at::isnan(ours.losses).sum().item<std::int64_t>(), 1);
  EXPECT_TRUE(at::isnan(ours.losses[3]).item<bool>());
}

TEST(SparseCrossentropy, AClassThatDoesNotExistIsAnError) {
  for (const std::int64_t wrong : {-1, 4}) {
    Tensor classes = kClasses.clone();
    classes[5] = wrong;
    EXPECT_THROW(SparseCrossentropy(Probabilities(), classes), c10::Error);
  }
}

TEST(SparseCrossentropy, NoRowsHaveNoLosses) {
  EXPECT_EQ(SparseCrossentropy(at::empty({0, 4}), at::empty({0}, at::kLong)).numel(), 0);
}

TEST(DenseCrossentropy, GivesWhatTheFormulaGives) {
  at::manual_seed(7);
  for (const Tensor& targets : {OneHot(kClasses, 4), at::rand({6, 4})}) {
    ExpectClose(
        Differentiate(Probabilities(),
                      [&](const Tensor& p) { return DenseCrossentropy(p, targets); }),
        Differentiate(Probabilities(), [&](const Tensor& p) { return Formula(p, targets); }));
  }
}

TEST(DenseCrossentropy, ANanStaysOne) {
  Tensor values = Probabilities();
  values[3][2] = std::numeric_limits<float>::quiet_NaN();
  const Outcome ours = Differentiate(
      values, [](const Tensor& p) { return DenseCrossentropy(p, OneHot(kClasses, 4)); });
  EXPECT_TRUE(at::isnan(ours.losses[3]).item<bool>());
}

TEST(DenseCrossentropy, TargetsOfAnotherShapeAreAnError) {
  EXPECT_THROW(DenseCrossentropy(Probabilities(), at::ones({6, 3})), c10::Error);
}

}  // namespace
}  // namespace elephas::keras
