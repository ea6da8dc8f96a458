// Losses over whole maps, sets and sequences (keras/src/losses/losses.py).
#include <array>
#include <limits>
#include <vector>

#include "worker/keras/losses/loss.h"

namespace elephas::keras {

namespace {

using at::Tensor;

// Axes to sum over; empty: all of them, which leaves one number for the batch.
std::vector<std::int64_t> ReadAxes(ConfigReader& c) {
  return c.Has("axis") ? c.IntList("axis", -16, 16) : std::vector<std::int64_t>{};
}

Tensor Sum(const Tensor& x, const std::vector<std::int64_t>& axes) {
  return axes.empty() ? x.sum() : x.sum(axes);
}

LossFunction Dice(ConfigReader& c) {
  const auto axes = ReadAxes(c);
  return [axes](const Tensor& t, const Tensor& p, Tensor*) {
    return 1.0 - 2.0 * Sum(t * p, axes) / (Sum(t, axes) + Sum(p, axes) + kEpsilon);
  };
}

LossFunction Tversky(ConfigReader& c) {
  const double alpha = c.Number("alpha", 0.5);
  const double beta = c.Number("beta", 0.5);
  const auto axes = ReadAxes(c);
  return [=](const Tensor& t, const Tensor& p, Tensor*) {
    const Tensor shared = Sum(t * p, axes);
    const Tensor missed = Sum((1.0 - p) * t, axes);
    const Tensor wrong = Sum(p * (1.0 - t), axes);
    return 1.0 - shared / (shared + missed * alpha + wrong * beta + kEpsilon);
  };
}

// Sun et al. 2020 over the pairs of a batch; y_true holds integer labels, y_pred unit embeddings.
LossFunction Circle(ConfigReader& c) {
  const double gamma = c.Number("gamma", 80.0);
  const double margin = c.Number("margin", 0.4);
  const bool remove_diagonal = c.Bool("remove_diagonal", true);
  return [=](const Tensor& t, const Tensor& p, Tensor* mask) {
    const Tensor labels = t.to(at::kLong).flatten();
    const Tensor distance = at::clamp_min(1.0 - at::matmul(p, p.t()), 0.0);
    Tensor same = labels.unsqueeze(1) == labels.unsqueeze(0);
    const Tensor other = at::logical_not(same);
    if (remove_diagonal) {
      same = at::logical_and(same, at::logical_not(at::eye(p.size(0), same.options())));
    }
    const Tensor positive_weight =
        at::clamp_min((margin + distance) * same.to(p.scalar_type()), 0.0);
    const Tensor negative_weight =
        at::clamp_min((1.0 + margin - distance) * other.to(p.scalar_type()), 0.0);
    const Tensor lowest = at::full_like(distance, -std::numeric_limits<float>::infinity());
    const Tensor positive =
        at::logsumexp(at::where(same, -gamma * positive_weight * (margin - distance), lowest), {1});
    const Tensor negative = at::logsumexp(
        at::where(other, gamma * negative_weight * (1.0 - margin - distance), lowest), {1});
    const Tensor losses = at::softplus(positive + negative);
    *mask = losses > 0.0;
    return losses;
  };
}

// Class 0 is the blank; labels are padded with zeros.
LossFunction Ctc(ConfigReader&) {
  return [](const Tensor& t, const Tensor& p, Tensor*) {
    TORCH_CHECK(t.dim() == 2 && p.dim() == 3, "ctc needs labels of rank 2 and outputs of rank 3");
    const Tensor labels = t.to(at::kLong);
    const Tensor log_probability = at::log_softmax(p, -1).transpose(0, 1);
    const Tensor input_lengths = at::full({p.size(0)}, p.size(1), labels.options());
    const Tensor label_lengths = (labels != 0).sum(1);
    return at::ctc_loss(log_probability, labels, input_lengths, label_lengths, /*blank=*/0,
                        /*reduction=*/0);
  };
}

LossFunction GeneralizedCrossentropy(ConfigReader& c) {
  const double q = c.Number("q", 0.5);
  if (!(q > 0.0 && q < 1.0)) c.Fail("'q' must lie between 0 and 1");
  return [q](const Tensor& t, const Tensor& p, Tensor*) {
    const Tensor classes = t.to(at::kLong);
    const Tensor index = classes.dim() == p.dim() ? classes : classes.unsqueeze(-1);
    return (1.0 - at::pow(p.gather(-1, index).squeeze(-1), q)) / q;
  };
}

constexpr std::array<LossEntry, 5> kStructuredLosses{{
    {"Dice", "dice", "", Dice},
    {"Tversky", "tversky", "", Tversky},
    {"Circle", "circle", "", Circle, LabelForm::kFree},
    {"CTC", "ctc", "", Ctc, LabelForm::kFree},
    {"CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy", "",
     GeneralizedCrossentropy, LabelForm::kClassIndices},
}};

}  // namespace

std::span<const LossEntry> StructuredLosses() { return kStructuredLosses; }

}  // namespace elephas::keras
