// Metrics over counts of hits and misses: precision, recall, AUC and their kin.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "worker/keras/losses/loss.h"
#include "worker/keras/metrics/metric.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

constexpr double kNegativeInfinity = -1e10;  // Keras' own stand-in
constexpr std::int64_t kMaxThresholds = 100000;

struct Thresholds {
  std::vector<float> values;
  bool even = false;     // spread evenly over [0, 1]: predictions fall into buckets
  bool epsilon = false;  // the ends lie just outside [0, 1]
};

// As Keras decides it, float32 included.
bool SpreadEvenly(const std::vector<double>& thresholds) {
  if (thresholds.size() < 3) return false;
  for (std::size_t i = 0; i < thresholds.size(); ++i) {
    const auto even =
        static_cast<double>(static_cast<float>(i) / static_cast<float>(thresholds.size() - 1));
    if (std::abs(thresholds[i] - even) > kEpsilon + 1e-5 * std::abs(even)) return false;
  }
  return true;
}

// Rows x labels of one batch on the CPU.
struct Batch {
  Tensor y_true, y_pred, weights;  // float32, contiguous, same shape; weights may be undefined
};

Batch Prepare(const MetricInput& input, std::optional<std::int64_t> top_k,
              std::optional<std::int64_t> class_id) {
  Tensor y_pred = input.y_pred.to(at::kFloat);
  Tensor y_true = input.y_true.to(at::kFloat);
  SqueezeOrExpand(y_pred, y_true);
  if (top_k) {
    const Tensor index = std::get<1>(at::topk(y_pred, *top_k, -1));
    const Tensor kept = at::zeros_like(y_pred).scatter(-1, index, 1.0);
    y_pred = y_pred * kept + kNegativeInfinity * (1.0 - kept);
  }
  if (class_id) {
    TORCH_CHECK(y_pred.dim() > 1 && *class_id < y_pred.size(-1), "class_id ", *class_id,
                " is outside the predictions' last axis");
    y_true = y_true.narrow(-1, *class_id, 1);
    y_pred = y_pred.narrow(-1, *class_id, 1);
  }
  Batch batch{y_true.cpu().contiguous(), y_pred.cpu().contiguous(), {}};
  if (input.weights.defined()) {
    Tensor weights = input.weights.to(at::kFloat).cpu();
    while (weights.dim() < batch.y_pred.dim()) weights = weights.unsqueeze(-1);
    batch.weights = weights.expand_as(batch.y_pred).contiguous();
  }
  return batch;
}

// Adds elements first, first + stride, … to `counts`.
void Count(const Batch& batch, std::int64_t first, std::int64_t stride,
           const Thresholds& thresholds, std::span<double> counts) {
  const std::size_t n = thresholds.values.size();
  const auto* truth = batch.y_true.const_data_ptr<float>();
  const auto* prediction = batch.y_pred.const_data_ptr<float>();
  const float* weight = batch.weights.defined() ? batch.weights.const_data_ptr<float>() : nullptr;
  // Positives and negatives per bucket; bucket i + 1 lies above threshold i.
  std::vector<double> positives(n + 1, 0.0);
  std::vector<double> negatives(n + 1, 0.0);
  double all_positive = 0;
  double all_negative = 0;
  for (std::int64_t i = first; i < batch.y_pred.numel(); i += stride) {
    const double w = weight == nullptr ? 1.0 : static_cast<double>(weight[i]);
    std::size_t above = 0;  // thresholds below the prediction
    if (thresholds.even) {
      const float clipped = std::clamp(prediction[i], 0.0F, 1.0F);
      float bucket = std::ceil(clipped * static_cast<float>(n - 1)) - 1.0F;
      if (thresholds.epsilon) bucket = std::max(bucket, 0.0F);
      above = static_cast<std::size_t>(bucket + 1.0F);
    } else {
      while (above < n && prediction[i] > thresholds.values[above]) ++above;
    }
    const bool positive = truth[i] != 0.0F;
    (positive ? positives : negatives)[above] += w;
    (positive ? all_positive : all_negative) += w;
  }
  double tp = 0;
  double fp = 0;
  for (std::size_t i = n; i-- > 0;) {
    tp += positives[i + 1];
    fp += negatives[i + 1];
    counts[i] += tp;
    counts[n + i] += fp;
    counts[2 * n + i] += all_negative - fp;
    counts[3 * n + i] += all_positive - tp;
  }
}

std::vector<double> ReadThresholds(ConfigReader& c, double fallback) {
  const json& option = c.Any("thresholds");
  if (option.is_null()) return {fallback};
  std::vector<double> values;
  for (const json& item : option.is_array() ? option : json::array({option})) {
    if (!item.is_number() || item < 0 || item > 1) {
      c.Fail("'thresholds' must lie in [0, 1]");
      return {fallback};
    }
    values.push_back(item.get<double>());
  }
  if (values.size() != 1) {
    c.Fail("'thresholds' must be one number: a metric with several values is not supported");
    return {fallback};
  }
  return values;
}

std::optional<std::int64_t> OptionalInt(ConfigReader& c, const char* name, std::int64_t low) {
  if (!c.Has(name)) return std::nullopt;
  return c.Int(name, std::nullopt, low, 1 << 30);
}

// One threshold; `parts` are the counts that make up the state.
class AtThreshold final : public Metric {
 public:
  AtThreshold(ConfigReader& c, std::string kind, std::vector<std::size_t> parts)
      : kind_(std::move(kind)), parts_(std::move(parts)) {
    if (parts_.size() > 1) {
      top_k_ = OptionalInt(c, "top_k", 1);
      class_id_ = OptionalInt(c, "class_id", 0);
    }
    const double threshold = ReadThresholds(c, top_k_ ? kNegativeInfinity : 0.5)[0];
    thresholds_.values = {static_cast<float>(threshold)};
  }
  MetricState Empty() const override { return {kind_, std::vector<double>(parts_.size(), 0.0)}; }
  void Update(const MetricInput& input, MetricState& state) const override {
    std::array<double, 4> counts{};
    Count(Prepare(input, top_k_, class_id_), 0, 1, thresholds_, counts);
    for (std::size_t i = 0; i < parts_.size(); ++i) state.values[i] += counts[parts_[i]];
  }

 private:
  std::string kind_;
  std::vector<std::size_t> parts_;  // 0 tp, 1 fp, 2 tn, 3 fn
  std::optional<std::int64_t> top_k_, class_id_;
  Thresholds thresholds_;
};

// Many thresholds between 0 and 1.
class OverThresholds final : public Metric {
 public:
  OverThresholds(std::string kind, Thresholds thresholds, std::optional<std::int64_t> class_id,
                 bool multi_label, bool from_logits)
      : kind_(std::move(kind)),
        thresholds_(std::move(thresholds)),
        class_id_(class_id),
        multi_label_(multi_label),
        from_logits_(from_logits) {}
  MetricState Empty() const override {
    return {kind_, std::vector<double>(multi_label_ ? 0 : 4 * thresholds_.values.size(), 0.0)};
  }
  void Update(const MetricInput& input, MetricState& state) const override {
    MetricInput prepared = input;
    if (from_logits_) prepared.y_pred = at::sigmoid(input.y_pred);
    const Batch batch = Prepare(prepared, std::nullopt, class_id_);
    const std::int64_t labels = multi_label_ ? batch.y_pred.size(-1) : 1;
    const std::size_t length = 4 * thresholds_.values.size();
    state.values.resize(static_cast<std::size_t>(labels) * length, 0.0);
    for (std::int64_t label = 0; label < labels; ++label) {
      Count(batch, label, labels, thresholds_,
            std::span(state.values).subspan(static_cast<std::size_t>(label) * length, length));
    }
  }

 private:
  std::string kind_;
  Thresholds thresholds_;
  std::optional<std::int64_t> class_id_;
  bool multi_label_, from_logits_;
};

template <std::size_t part>
std::unique_ptr<Metric> CountOf(ConfigReader& c) {
  return std::make_unique<AtThreshold>(c, "sum", std::vector<std::size_t>{part});
}
std::unique_ptr<Metric> Precision(ConfigReader& c) {
  return std::make_unique<AtThreshold>(c, "share", std::vector<std::size_t>{0, 1});
}
std::unique_ptr<Metric> Recall(ConfigReader& c) {
  return std::make_unique<AtThreshold>(c, "share", std::vector<std::size_t>{0, 3});
}

// `count` thresholds over [0, 1], ends included.
std::vector<double> Even(std::int64_t count) {
  std::vector<double> values{0.0};
  for (std::int64_t i = 0; i < count - 2; ++i) {
    values.push_back(static_cast<double>(i + 1) / static_cast<double>(count - 1));
  }
  values.push_back(1.0);
  return values;
}

std::unique_ptr<Metric> Auc(ConfigReader& c) {
  std::string curve = c.Choice("curve", "ROC", {"ROC", "PR", "PRGAIN", "roc", "pr", "prgain"});
  std::transform(curve.begin(), curve.end(), curve.begin(),
                 [](unsigned char x) { return static_cast<char>(std::toupper(x)); });
  std::string summation =
      c.Choice("summation_method", "interpolation",
               {"interpolation", "majoring", "minoring", "Interpolation", "Majoring", "Minoring"});
  summation[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(summation[0])));
  const std::int64_t count = c.Int("num_thresholds", 200, 2, kMaxThresholds);
  std::vector<double> points = Even(count);
  if (c.Has("thresholds")) {
    // Keras writes its inner thresholds down; the ends come on top.
    points = {0.0};
    for (const json& item : c.Any("thresholds")) {
      if (!item.is_number() || points.size() > static_cast<std::size_t>(kMaxThresholds)) {
        c.Fail("'thresholds' must be a list of numbers");
        break;
      }
      points.push_back(item.get<double>());
    }
    points.push_back(1.0);
    std::sort(points.begin(), points.end());
  }
  const bool multi_label = c.Bool("multi_label", false);
  c.Ignore({"num_labels"});
  c.Require("label_weights", nullptr);
  Thresholds thresholds;
  thresholds.even = SpreadEvenly(points);
  thresholds.epsilon = true;
  points.front() = -kEpsilon;
  points.back() = 1.0 + kEpsilon;
  thresholds.values.assign(points.begin(), points.end());
  const std::string kind =
      "auc:" + curve + ":" + summation + ":" + std::to_string(thresholds.values.size());
  return std::make_unique<OverThresholds>(kind, std::move(thresholds), std::nullopt, multi_label,
                                          c.Bool("from_logits", false));
}

std::unique_ptr<Metric> Best(ConfigReader& c, const char* option, const char* of,
                             const char* under) {
  const double limit = c.Number(option, std::nullopt);
  if (!(limit >= 0.0 && limit <= 1.0)) c.Fail("'" + std::string(option) + "' must lie in [0, 1]");
  const std::int64_t count = c.Int("num_thresholds", 200, 1, kMaxThresholds);
  Thresholds thresholds;
  const std::vector<double> points = count == 1 ? std::vector<double>{0.5} : Even(count);
  thresholds.values.assign(points.begin(), points.end());
  thresholds.even = count > 1;
  const std::string kind = "best:" + std::string(of) + ":" + under + ":" + json(limit).dump() +
                           ":" + std::to_string(points.size());
  return std::make_unique<OverThresholds>(kind, std::move(thresholds),
                                          OptionalInt(c, "class_id", 0), false, false);
}

std::unique_ptr<Metric> SensitivityAtSpecificity(ConfigReader& c) {
  return Best(c, "specificity", "recall", "specificity");
}
std::unique_ptr<Metric> SpecificityAtSensitivity(ConfigReader& c) {
  return Best(c, "sensitivity", "specificity", "recall");
}
std::unique_ptr<Metric> PrecisionAtRecall(ConfigReader& c) {
  return Best(c, "recall", "precision", "recall");
}
std::unique_ptr<Metric> RecallAtPrecision(ConfigReader& c) {
  return Best(c, "precision", "recall", "precision");
}

constexpr std::array<MetricEntry, 11> kConfusionMetrics{{
    {"TruePositives", "true_positives", "", CountOf<0>},
    {"FalsePositives", "false_positives", "", CountOf<1>},
    {"TrueNegatives", "true_negatives", "", CountOf<2>},
    {"FalseNegatives", "false_negatives", "", CountOf<3>},
    {"Precision", "precision", "", Precision},
    {"Recall", "recall", "", Recall},
    {"AUC", "auc", "", Auc},
    {"SensitivityAtSpecificity", "sensitivity_at_specificity", "", SensitivityAtSpecificity},
    {"SpecificityAtSensitivity", "specificity_at_sensitivity", "", SpecificityAtSensitivity},
    {"PrecisionAtRecall", "precision_at_recall", "", PrecisionAtRecall},
    {"RecallAtPrecision", "recall_at_precision", "", RecallAtPrecision},
}};

}  // namespace

std::span<const MetricEntry> ConfusionMetrics() { return kConfusionMetrics; }

}  // namespace elephas::keras
