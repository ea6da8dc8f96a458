// Crossentropies and other distances between distributions, as Keras' jax backend computes them:
// probabilities are normalized and clipped to [epsilon, 1 - epsilon] before the logarithm, and
// nothing goes back to the logits behind a softmax.
#include <array>

#include "worker/keras/losses/class_crossentropy.h"
#include "worker/keras/losses/loss.h"

namespace elephas::keras {

namespace {

using at::Tensor;

Tensor ClipProbability(const Tensor& p) { return at::clamp(p, kEpsilon, 1.0 - kEpsilon); }

// What class_crossentropy.h takes: all that a classifier of rows gives on a CPU.
bool IsPlainTable(const Tensor& p, std::int64_t axis) {
  return p.is_cpu() && p.scalar_type() == at::kFloat && p.dim() == 2 && (axis == -1 || axis == 1);
}

LossFunction SparseCategoricalCrossentropy(ConfigReader& c) {
  const bool from_logits = c.Bool("from_logits", false);
  const std::int64_t axis = c.Int("axis", -1, -16, 16);
  std::optional<std::int64_t> ignored;
  if (c.Has("ignore_class")) ignored = c.Int("ignore_class", std::nullopt);
  return [=](const Tensor& t, const Tensor& p, Tensor* mask) {
    Tensor classes = t.to(at::kLong);
    if (classes.dim() == p.dim() && classes.size(axis) == 1) classes = classes.squeeze(axis);
    Tensor valid;
    if (ignored) {
      valid = classes != *ignored;
      classes = classes * valid;
    }
    const Tensor index = classes.unsqueeze(axis);
    // Selecting before normalizing gives Keras' numbers with a fraction of the work.
    Tensor losses;
    if (from_logits) {
      losses = -at::log_softmax(p, axis).gather(axis, index).squeeze(axis);
    } else if (IsPlainTable(p, axis)) {
      losses = SparseCrossentropy(p, classes);
    } else {
      const Tensor chosen = p.gather(axis, index).squeeze(axis);
      losses = -at::log(ClipProbability(chosen / p.sum(axis)));
    }
    if (valid.defined()) {
      // Where the class is ignored Keras takes a prediction of zeros, which has no gradient.
      losses = at::where(valid, losses, at::zeros_like(losses));
      *mask = valid;
    }
    return losses;
  };
}

Tensor SmoothClasses(const Tensor& t, double smoothing) {
  if (smoothing == 0.0) return t;
  return t * (1.0 - smoothing) + smoothing / static_cast<double>(t.size(-1));
}

LossFunction CategoricalCrossentropy(ConfigReader& c) {
  const bool from_logits = c.Bool("from_logits", false);
  const double smoothing = c.Number("label_smoothing", 0.0);
  const std::int64_t axis = c.Int("axis", -1, -16, 16);
  return [=](const Tensor& t, const Tensor& p, Tensor*) {
    const Tensor targets = SmoothClasses(t, smoothing);
    // With smoothing no target is 0, and LibTorch's logarithm of many numbers is the faster one.
    if (!from_logits && smoothing == 0.0 && IsPlainTable(p, axis) && t.sizes() == p.sizes()) {
      return DenseCrossentropy(p, targets);
    }
    const Tensor log_probability =
        from_logits ? at::log_softmax(p, axis)
                    : at::log(ClipProbability(p / p.sum(axis, /*keepdim=*/true)));
    return -(targets * log_probability).sum(axis);
  };
}

LossFunction CategoricalFocalCrossentropy(ConfigReader& c) {
  const double alpha = c.Number("alpha", 0.25);
  const double gamma = c.Number("gamma", 2.0);
  const bool from_logits = c.Bool("from_logits", false);
  const double smoothing = c.Number("label_smoothing", 0.0);
  const std::int64_t axis = c.Int("axis", -1, -16, 16);
  return [=](const Tensor& t, const Tensor& prediction, Tensor*) {
    const Tensor p = from_logits ? at::softmax(prediction, axis) : prediction;
    const Tensor output = ClipProbability(p / p.sum(axis, /*keepdim=*/true));
    const Tensor crossentropy = -SmoothClasses(t, smoothing) * at::log(output);
    return (at::pow(1.0 - output, gamma) * alpha * crossentropy).sum(axis);
  };
}

Tensor BinaryTerms(const Tensor& t, const Tensor& p, bool from_logits) {
  if (from_logits) return -t * at::log_sigmoid(p) - (1.0 - t) * at::log_sigmoid(-p);
  const Tensor output = ClipProbability(p);
  return -(t * at::log(output) + (1.0 - t) * at::log(1.0 - output));
}

Tensor SmoothBinary(const Tensor& t, double smoothing) {
  return smoothing == 0.0 ? t : t * (1.0 - smoothing) + 0.5 * smoothing;
}

LossFunction BinaryCrossentropy(ConfigReader& c) {
  const bool from_logits = c.Bool("from_logits", false);
  const double smoothing = c.Number("label_smoothing", 0.0);
  const std::int64_t axis = c.Int("axis", -1, -16, 16);
  return [=](const Tensor& t, const Tensor& p, Tensor*) {
    return BinaryTerms(SmoothBinary(t, smoothing), p, from_logits).mean(axis);
  };
}

LossFunction BinaryFocalCrossentropy(ConfigReader& c) {
  const bool balancing = c.Bool("apply_class_balancing", false);
  const double alpha = c.Number("alpha", 0.25);
  const double gamma = c.Number("gamma", 2.0);
  const bool from_logits = c.Bool("from_logits", false);
  const double smoothing = c.Number("label_smoothing", 0.0);
  const std::int64_t axis = c.Int("axis", -1, -16, 16);
  return [=](const Tensor& truth, const Tensor& prediction, Tensor*) {
    const Tensor t = SmoothBinary(truth, smoothing);
    const Tensor p = from_logits ? at::sigmoid(prediction) : prediction;
    const Tensor hit = t * p + (1.0 - t) * (1.0 - p);
    Tensor losses = at::pow(1.0 - hit, gamma) * BinaryTerms(t, p, false);
    if (balancing) losses = (t * alpha + (1.0 - t) * (1.0 - alpha)) * losses;
    return losses.mean(axis);
  };
}

LossFunction KlDivergence(ConfigReader&) {
  return [](const Tensor& truth, const Tensor& prediction, Tensor*) {
    const Tensor t = at::clamp(truth, kEpsilon, 1.0);
    const Tensor p = at::clamp(prediction, kEpsilon, 1.0);
    return (t * at::log(t / p)).sum(-1);
  };
}

LossFunction Poisson(ConfigReader&) {
  return [](const Tensor& t, const Tensor& p, Tensor*) {
    return (p - t * at::log(p + kEpsilon)).mean(-1);
  };
}

constexpr std::array<LossEntry, 7> kProbabilisticLosses{{
    {"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", "",
     SparseCategoricalCrossentropy, LabelForm::kClassIndices},
    {"CategoricalCrossentropy", "categorical_crossentropy", "", CategoricalCrossentropy},
    {"CategoricalFocalCrossentropy", "categorical_focal_crossentropy", "",
     CategoricalFocalCrossentropy},
    {"BinaryCrossentropy", "binary_crossentropy", "bce", BinaryCrossentropy},
    {"BinaryFocalCrossentropy", "binary_focal_crossentropy", "", BinaryFocalCrossentropy},
    {"KLDivergence", "kl_divergence", "kld", KlDivergence},
    {"Poisson", "poisson", "", Poisson},
}};

}  // namespace

std::span<const LossEntry> ProbabilisticLosses() { return kProbabilisticLosses; }

}  // namespace elephas::keras
