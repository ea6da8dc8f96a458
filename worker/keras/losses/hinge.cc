// Margins (keras/src/losses/losses.py). Labels are -1 and 1; a batch of zeros and ones is
// converted.
#include <array>

#include "worker/keras/losses/loss.h"

namespace elephas::keras {

namespace {

using at::Tensor;

Tensor SignedLabels(const Tensor& t) {
  const Tensor binary = at::logical_or(t == 0.0, t == 1.0).all();
  return at::where(binary, 2.0 * t - 1.0, t);
}

LossFunction Hinge(ConfigReader&) {
  return [](const Tensor& t, const Tensor& p, Tensor*) {
    return at::clamp_min(1.0 - SignedLabels(t) * p, 0.0).mean(-1);
  };
}

LossFunction SquaredHinge(ConfigReader&) {
  return [](const Tensor& t, const Tensor& p, Tensor*) {
    return at::square(at::clamp_min(1.0 - SignedLabels(t) * p, 0.0)).mean(-1);
  };
}

LossFunction CategoricalHinge(ConfigReader&) {
  return [](const Tensor& t, const Tensor& p, Tensor*) {
    const Tensor positive = (t * p).sum(-1);
    const Tensor negative = at::amax((1.0 - t) * p, -1);
    return at::clamp_min(negative - positive + 1.0, 0.0);
  };
}

constexpr std::array<LossEntry, 3> kHingeLosses{{
    {"Hinge", "hinge", "", Hinge},
    {"SquaredHinge", "squared_hinge", "", SquaredHinge},
    {"CategoricalHinge", "categorical_hinge", "", CategoricalHinge},
}};

}  // namespace

std::span<const LossEntry> HingeLosses() { return kHingeLosses; }

}  // namespace elephas::keras
