// Metrics whose states are several sums: scores over classes, overlaps, coefficients of regression.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "worker/keras/losses/loss.h"
#include "worker/keras/metrics/metric.h"

namespace elephas::keras {

namespace {

using at::Tensor;

constexpr std::int64_t kMaxClasses = 4096;

// Adds a vector to state.values at `offset`.
void AddVector(const Tensor& vector, std::size_t offset, MetricState& state) {
  const Tensor values = vector.to(at::kDouble).cpu().contiguous();
  const auto* data = values.const_data_ptr<double>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    state.values[offset + static_cast<std::size_t>(i)] += data[i];
  }
}

class RootMeanSquaredError final : public Metric {
 public:
  explicit RootMeanSquaredError(ConfigReader&) {}
  MetricState Empty() const override { return {"root_mean", {0.0, 0.0}}; }
  void Update(const MetricInput& input, MetricState& state) const override {
    Tensor t = input.y_true;
    Tensor p = input.y_pred;
    SqueezeOrExpand(t, p);
    AddToMean(at::square(p - t), input.weights, state);
  }
};

class FBetaScore : public Metric {
 public:
  explicit FBetaScore(ConfigReader& c) : FBetaScore(c, c.Number("beta", 1.0)) {}
  MetricState Empty() const override {
    return {"fbeta:" + average_ + ":" + nlohmann::json(beta_).dump(), {}};
  }
  void Update(const MetricInput& input, MetricState& state) const override {
    const Tensor t = input.y_true.to(at::kFloat);
    Tensor p = input.y_pred;
    TORCH_CHECK(t.dim() == 2 && p.dim() == 2, "F scores need labels and outputs of rank 2");
    if (threshold_) {
      p = (p > *threshold_).to(at::kFloat);
    } else {
      p = at::logical_and(p >= at::amax(p, -1, true), at::abs(p) > 1e-9).to(at::kFloat);
    }
    std::vector<Tensor> sums{p * t, p * (1.0 - t), (1.0 - p) * t, t};
    const bool micro = average_ == "micro";
    const auto classes = static_cast<std::size_t>(micro ? 1 : t.size(1));
    state.values.resize(4 * classes, 0.0);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      Tensor sum = sums[i].to(at::kDouble);
      if (input.weights.defined()) sum = sum * input.weights.unsqueeze(1);
      AddVector(micro ? sum.sum().view({1}) : sum.sum(0), i * classes, state);
    }
  }

 protected:
  FBetaScore(ConfigReader& c, double beta) : beta_(beta) {
    if (!c.Has("average")) {
      c.Fail(
          "'average' must be micro, macro or weighted: a metric with several values is not "
          "supported");
    } else {
      average_ = c.Choice("average", "macro", {"micro", "macro", "weighted"});
    }
    threshold_ = c.OptionalNumber("threshold");
    if (beta_ <= 0) c.Fail("'beta' must be positive");
  }

 private:
  std::string average_ = "macro";
  double beta_;
  std::optional<double> threshold_;
};

class F1Score final : public FBetaScore {
 public:
  explicit F1Score(ConfigReader& c) : FBetaScore(c, 1.0) { c.Ignore({"beta"}); }
};

enum class IouForm : std::uint8_t { kIoU, kBinary, kMean, kOneHot, kOneHotMean };

// Keras counts in integers: predictions and weights lose their fractions.
template <IouForm form>
class IntersectionOverUnion final : public Metric {
 public:
  explicit IntersectionOverUnion(ConfigReader& c) {
    constexpr bool kOneHot = form == IouForm::kOneHot || form == IouForm::kOneHotMean;
    if constexpr (form == IouForm::kBinary) {
      classes_ = 2;
      threshold_ = c.Number("threshold", 0.5);
    } else {
      classes_ = c.Int("num_classes", std::nullopt, 1, kMaxClasses);
      if (c.Has("ignore_class")) ignored_ = c.Int("ignore_class", std::nullopt);
      sparse_true_ = !kOneHot && c.Bool("sparse_y_true", true);
      sparse_pred_ = c.Bool("sparse_y_pred", !kOneHot);
      axis_ = c.Int("axis", -1, -16, 16);
    }
    const bool all = form == IouForm::kMean || form == IouForm::kOneHotMean ||
                     (form == IouForm::kBinary && !c.Has("target_class_ids"));
    if (all) {
      for (std::int64_t i = 0; i < classes_; ++i) targets_.push_back(i);
    } else {
      targets_ = c.IntList("target_class_ids", 0, classes_ - 1);
    }
  }
  MetricState Empty() const override {
    std::string kind = "iou:";
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      kind += (i == 0 ? "" : ",") + std::to_string(targets_[i]);
    }
    return {kind, std::vector<double>(static_cast<std::size_t>(classes_ * classes_), 0.0)};
  }
  void Update(const MetricInput& input, MetricState& state) const override {
    Tensor t = sparse_true_ ? input.y_true : input.y_true.argmax(axis_);
    Tensor p = sparse_pred_ ? input.y_pred : input.y_pred.argmax(axis_);
    if (threshold_) p = p >= *threshold_;
    t = t.to(at::kLong).flatten();
    p = p.to(at::kLong).flatten();
    Tensor weights = at::ones_like(t);
    if (input.weights.defined()) {
      weights = input.weights.to(at::kLong).flatten().expand_as(t);
    }
    Tensor valid = at::logical_and(at::logical_and(t >= 0, t < classes_),
                                   at::logical_and(p >= 0, p < classes_));
    if (ignored_) valid = at::logical_and(valid, t != *ignored_);
    const Tensor cells = (t * classes_ + p).masked_select(valid);
    const Tensor counts =
        at::zeros({classes_ * classes_}, at::kDouble)
            .index_add(0, cells.cpu(), weights.masked_select(valid).cpu().to(at::kDouble));
    AddVector(counts, 0, state);
  }

 private:
  std::int64_t classes_ = 0, axis_ = -1;
  std::vector<std::int64_t> targets_;
  std::optional<std::int64_t> ignored_;
  std::optional<double> threshold_;
  bool sparse_true_ = true, sparse_pred_ = true;
};

class R2Score final : public Metric {
 public:
  explicit R2Score(ConfigReader& c) : regressors_(c.Int("num_regressors", 0, 0)) {
    if (c.Has("class_aggregation")) {
      aggregation_ = c.Choice("class_aggregation", "uniform_average",
                              {"uniform_average", "variance_weighted_average"});
    }
  }
  MetricState Empty() const override {
    return {"r2:" + aggregation_ + ":" + std::to_string(regressors_), {}};
  }
  void Update(const MetricInput& input, MetricState& state) const override {
    Tensor t = input.y_true.to(at::kDouble);
    Tensor p = input.y_pred.to(at::kDouble);
    SqueezeOrExpand(t, p);
    TORCH_CHECK(t.dim() == 2 && p.dim() == 2, "r2_score needs labels and outputs of rank 2");
    Tensor weights = at::ones_like(t);
    if (input.weights.defined()) weights = weights * input.weights.unsqueeze(-1);
    const auto outputs = static_cast<std::size_t>(t.size(1));
    state.values.resize(1 + 4 * outputs, 0.0);
    state.values[0] += static_cast<double>(t.numel());
    AddVector((t * weights).sum(0), 1, state);
    AddVector((t * t * weights).sum(0), 1 + outputs, state);
    AddVector((at::square(t - p) * weights).sum(0), 1 + 2 * outputs, state);
    AddVector(weights.sum(0), 1 + 3 * outputs, state);
  }

 private:
  std::int64_t regressors_;
  std::string aggregation_ = "uniform_average";
};

template <typename M>
std::unique_ptr<Metric> Make(ConfigReader& config) {
  return std::make_unique<M>(config);
}

constexpr std::array<MetricEntry, 9> kAggregateMetrics{{
    {"RootMeanSquaredError", "root_mean_squared_error", "", Make<RootMeanSquaredError>},
    {"FBetaScore", "fbeta_score", "f_beta_score", Make<FBetaScore>},
    {"F1Score", "f1_score", "", Make<F1Score>},
    {"IoU", "io_u", "", Make<IntersectionOverUnion<IouForm::kIoU>>},
    {"BinaryIoU", "binary_io_u", "", Make<IntersectionOverUnion<IouForm::kBinary>>},
    {"MeanIoU", "mean_io_u", "", Make<IntersectionOverUnion<IouForm::kMean>>},
    {"OneHotIoU", "one_hot_io_u", "", Make<IntersectionOverUnion<IouForm::kOneHot>>},
    {"OneHotMeanIoU", "one_hot_mean_io_u", "", Make<IntersectionOverUnion<IouForm::kOneHotMean>>},
    {"R2Score", "r2_score", "", Make<R2Score>},
}};

}  // namespace

std::span<const MetricEntry> AggregateMetrics() { return kAggregateMetrics; }

}  // namespace elephas::keras
