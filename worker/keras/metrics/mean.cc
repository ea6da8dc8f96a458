// Metrics that are means of a value per sample: accuracies, and the losses seen as metrics.
#include <array>
#include <functional>
#include <limits>
#include <utility>

#include "worker/keras/losses/loss.h"
#include "worker/keras/metrics/metric.h"

namespace elephas::keras {

namespace {

using at::Tensor;

using ValueFunction = std::function<Tensor(const Tensor& y_true, const Tensor& y_pred)>;

// Keras' MeanMetricWrapper.
class MeanOf final : public Metric {
 public:
  explicit MeanOf(ValueFunction function) : function_(std::move(function)) {}
  void Update(const MetricInput& batch, MetricState& state) const override {
    AddToMean(function_(batch.y_true, batch.y_pred), MergeMask(batch.weights, batch.mask, false),
              state);
  }
  bool defers() const override { return true; }
  Tensor Added(const MetricInput& batch) const override {
    return MeanSums(function_(batch.y_true, batch.y_pred),
                    MergeMask(batch.weights, batch.mask, false));
  }

 private:
  ValueFunction function_;
};

std::unique_ptr<Metric> Mean(ValueFunction function) {
  return std::make_unique<MeanOf>(std::move(function));
}

// A loss function as a metric. Metrics do not squeeze what losses squeeze before the call, but
// those whose function does it itself do.
template <const char* loss, bool squeezes>
std::unique_ptr<Metric> LossMean(ConfigReader& c) {
  LossFunction function = FindLoss(loss)->make(c);
  return Mean([function](const Tensor& y_true, const Tensor& y_pred) {
    Tensor t = y_true;
    Tensor p = y_pred;
    if (squeezes) SqueezeOrExpand(t, p);
    Tensor mask;
    return function(t, p, &mask);
  });
}

Tensor Matches(const Tensor& a, const Tensor& b) { return (a == b).to(at::kFloat); }

std::unique_ptr<Metric> Accuracy(ConfigReader&) {
  return Mean([](Tensor t, Tensor p) {
    SqueezeOrExpand(t, p);
    return Matches(t, p);
  });
}

std::unique_ptr<Metric> BinaryAccuracy(ConfigReader& c) {
  const double threshold = c.Number("threshold", 0.5);
  return Mean([threshold](Tensor t, Tensor p) {
    SqueezeOrExpand(t, p);
    return Matches(t, (p > threshold).to(t.scalar_type()));
  });
}

std::unique_ptr<Metric> CategoricalAccuracy(ConfigReader&) {
  return Mean([](const Tensor& t, const Tensor& p) { return Matches(t.argmax(-1), p.argmax(-1)); });
}

std::unique_ptr<Metric> SparseCategoricalAccuracy(ConfigReader&) {
  return Mean([](const Tensor& y_true, const Tensor& p) {
    Tensor t = y_true;
    if (t.dim() == p.dim() && t.size(-1) == 1) t = t.squeeze(-1);
    return Matches(t.to(at::kLong), p.argmax(-1));
  });
}

// The class is among the k largest; ties with the k-th count. NaN is the smallest of all.
Tensor InTopK(const Tensor& classes, const Tensor& p, std::int64_t k) {
  const Tensor rows = p.reshape({-1, p.size(-1)});
  const Tensor index = classes.to(at::kLong).reshape({-1, 1});
  constexpr double kLowest = -std::numeric_limits<double>::infinity();
  const Tensor own = rows.gather(1, index);
  const Tensor score = at::where(at::isnan(own), at::full_like(own, kLowest), own);
  return ((rows > score).sum(1) < k).to(at::kFloat).reshape(classes.sizes());
}

std::unique_ptr<Metric> TopKCategoricalAccuracy(ConfigReader& c) {
  const std::int64_t k = c.Int("k", 5, 1, 1 << 30);
  return Mean([k](const Tensor& t, const Tensor& p) { return InTopK(t.argmax(-1), p, k); });
}

std::unique_ptr<Metric> SparseTopKCategoricalAccuracy(ConfigReader& c) {
  const std::int64_t k = c.Int("k", 5, 1, 1 << 30);
  const bool sorted_ids = c.Bool("from_sorted_ids", false);
  return Mean([k, sorted_ids](const Tensor& t, const Tensor& p) {
    if (!sorted_ids) return InTopK(t, p, k);
    const Tensor first = p.reshape({-1, p.size(-1)}).slice(1, 0, k);
    return (first == t.reshape({-1, 1})).any(1).to(at::kFloat).reshape(t.sizes());
  });
}

// The metric has the sign that the loss has not.
std::unique_ptr<Metric> CosineSimilarity(ConfigReader& c) {
  LossFunction loss = FindLoss("cosine_similarity")->make(c);
  return Mean([loss](Tensor t, Tensor p) {
    SqueezeOrExpand(t, p);
    return -loss(t, p, nullptr);
  });
}

Tensor Centered(const Tensor& x, std::int64_t axis) { return x - x.mean(axis, true); }
Tensor Variance(const Tensor& x, std::int64_t axis) {
  return at::square(Centered(x, axis)).mean(axis, true);
}

std::unique_ptr<Metric> PearsonCorrelation(ConfigReader& c) {
  const std::int64_t axis = c.Int("axis", -1, -16, 16);
  return Mean([axis](Tensor t, Tensor p) {
    SqueezeOrExpand(t, p);
    const Tensor a = Centered(t, axis) / at::sqrt(Variance(t, axis));
    const Tensor b = Centered(p, axis) / at::sqrt(Variance(p, axis));
    return (a * b).mean(axis);
  });
}

std::unique_ptr<Metric> ConcordanceCorrelation(ConfigReader& c) {
  const std::int64_t axis = c.Int("axis", -1, -16, 16);
  return Mean([axis](Tensor t, Tensor p) {
    SqueezeOrExpand(t, p);
    const Tensor mean = p.mean(axis, true);
    const Tensor covariance = (t - mean) * (p - mean);
    const Tensor norm =
        Variance(t, axis) + Variance(p, axis) + at::square(t.mean(axis, true) - mean);
    return (2.0 * covariance / (norm + kEpsilon)).mean(axis);
  });
}

constexpr char kMse[] = "mse";
constexpr char kMae[] = "mae";
constexpr char kMape[] = "mape";
constexpr char kMsle[] = "msle";
constexpr char kLogCosh[] = "log_cosh";
constexpr char kKld[] = "kld";
constexpr char kPoisson[] = "poisson";
constexpr char kBce[] = "bce";
constexpr char kCce[] = "categorical_crossentropy";
constexpr char kScce[] = "sparse_categorical_crossentropy";
constexpr char kHinge[] = "hinge";
constexpr char kSquaredHinge[] = "squared_hinge";
constexpr char kCategoricalHinge[] = "categorical_hinge";

constexpr std::array<MetricEntry, 22> kMeanMetrics{{
    {"Accuracy", "accuracy", "", Accuracy},
    {"BinaryAccuracy", "binary_accuracy", "", BinaryAccuracy},
    {"CategoricalAccuracy", "categorical_accuracy", "", CategoricalAccuracy},
    {"SparseCategoricalAccuracy", "sparse_categorical_accuracy", "", SparseCategoricalAccuracy},
    {"TopKCategoricalAccuracy", "top_k_categorical_accuracy", "", TopKCategoricalAccuracy},
    {"SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy", "",
     SparseTopKCategoricalAccuracy},
    {"MeanSquaredError", "mean_squared_error", "mse", LossMean<kMse, true>},
    {"MeanAbsoluteError", "mean_absolute_error", "mae", LossMean<kMae, true>},
    {"MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape",
     LossMean<kMape, true>},
    {"MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle",
     LossMean<kMsle, true>},
    {"LogCoshError", "logcosh", "log_cosh_error", LossMean<kLogCosh, true>},
    {"KLDivergence", "kl_divergence", "", LossMean<kKld, false>},
    {"Poisson", "poisson", "", LossMean<kPoisson, false>},
    {"BinaryCrossentropy", "binary_crossentropy", "bce", LossMean<kBce, false>},
    {"CategoricalCrossentropy", "categorical_crossentropy", "", LossMean<kCce, false>},
    {"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", "",
     LossMean<kScce, false>},
    {"Hinge", "hinge", "", LossMean<kHinge, false>},
    {"SquaredHinge", "squared_hinge", "", LossMean<kSquaredHinge, false>},
    {"CosineSimilarity", "cosine_similarity", "", CosineSimilarity},
    {"PearsonCorrelation", "pearson_correlation", "", PearsonCorrelation},
    {"ConcordanceCorrelation", "concordance_correlation", "", ConcordanceCorrelation},
    {"CategoricalHinge", "categorical_hinge", "", LossMean<kCategoricalHinge, false>},
}};

}  // namespace

std::span<const MetricEntry> MeanMetrics() { return kMeanMetrics; }

}  // namespace elephas::keras
