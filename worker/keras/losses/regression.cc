// Distances between numbers (keras/src/losses/losses.py). Labels are float32.
#include <array>
#include <cmath>
#include <numbers>

#include "worker/keras/losses/loss.h"

namespace elephas::keras {

namespace {

using at::Tensor;

Tensor MeanLast(const Tensor& x) { return x.dim() == 0 ? x : x.mean(-1); }

LossFunction Plain(Tensor (*function)(const Tensor&, const Tensor&)) {
  return [function](const Tensor& t, const Tensor& p, Tensor*) { return function(t, p); };
}

LossFunction MeanSquaredError(ConfigReader&) {
  return Plain([](const Tensor& t, const Tensor& p) { return MeanLast(at::square(t - p)); });
}

LossFunction MeanAbsoluteError(ConfigReader&) {
  return Plain([](const Tensor& t, const Tensor& p) { return MeanLast(at::abs(t - p)); });
}

LossFunction MeanAbsolutePercentageError(ConfigReader&) {
  return Plain([](const Tensor& t, const Tensor& p) {
    return 100.0 * MeanLast(at::abs((t - p) / at::clamp_min(at::abs(t), kEpsilon)));
  });
}

LossFunction MeanSquaredLogarithmicError(ConfigReader&) {
  return Plain([](const Tensor& t, const Tensor& p) {
    const Tensor first = at::log(at::clamp_min(p, kEpsilon) + 1.0);
    const Tensor second = at::log(at::clamp_min(t, kEpsilon) + 1.0);
    return MeanLast(at::square(first - second));
  });
}

// x / max(|x|, epsilon): keras.utils.normalize as the backends do it.
Tensor Normalized(const Tensor& x, std::int64_t axis) {
  const Tensor squares = at::square(x).sum(axis, /*keepdim=*/true);
  return x * at::rsqrt(at::clamp_min(squares, 1e-12));
}

LossFunction CosineSimilarity(ConfigReader& c) {
  const std::int64_t axis = c.Int("axis", -1, -16, 16);
  return [axis](const Tensor& t, const Tensor& p, Tensor*) {
    return -(Normalized(t, axis) * Normalized(p, axis)).sum(axis);
  };
}

LossFunction Huber(ConfigReader& c) {
  const double delta = c.Number("delta", 1.0);
  return [delta](const Tensor& t, const Tensor& p, Tensor*) {
    const Tensor error = p - t;
    const Tensor size = at::abs(error);
    return MeanLast(
        at::where(size <= delta, 0.5 * at::square(error), delta * size - 0.5 * delta * delta));
  };
}

LossFunction LogCosh(ConfigReader&) {
  return Plain([](const Tensor& t, const Tensor& p) {
    const Tensor x = p - t;
    return MeanLast(x + at::softplus(-2.0 * x) - std::numbers::ln2);
  });
}

constexpr std::array<LossEntry, 8> kRegressionLosses{{
    {"MeanSquaredError", "mean_squared_error", "mse", MeanSquaredError},
    {"MeanAbsoluteError", "mean_absolute_error", "mae", MeanAbsoluteError},
    {"MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape",
     MeanAbsolutePercentageError},
    {"MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle",
     MeanSquaredLogarithmicError},
    {"CosineSimilarity", "cosine_similarity", "", CosineSimilarity},
    {"Huber", "huber", "", Huber},
    {"LogCosh", "log_cosh", "", LogCosh},
    {"LogCosh", "logcosh", "", LogCosh},
}};

}  // namespace

std::span<const LossEntry> RegressionLosses() { return kRegressionLosses; }

}  // namespace elephas::keras
