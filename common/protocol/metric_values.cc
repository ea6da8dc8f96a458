// The formulas follow keras/src/metrics of Keras 3.
#include "common/protocol/metric_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace elephas {

namespace {

using Values = std::span<const double>;
using Options = std::vector<std::string>;

constexpr double kEpsilon = 1e-7;  // keras.backend.epsilon()

double DivideNoNan(double a, double b) { return b == 0 ? 0.0 : a / b; }

std::optional<double> Number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A size in 1..limit.
std::optional<std::size_t> Size(const std::string& text, std::size_t limit) {
  const std::optional<double> value = Number(text);
  if (!value || *value < 1 || *value > static_cast<double>(limit) || *value != std::floor(*value)) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(*value);
}

Options Split(const std::string& text, char separator) {
  Options parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<double> RootMean(const Options&, Values v) {
  if (v.size() != 2) return std::nullopt;
  return std::sqrt(DivideNoNan(v[0], v[1]));
}

std::optional<double> Sum(const Options&, Values v) {
  if (v.size() != 1) return std::nullopt;
  return v[0];
}

std::optional<double> Share(const Options&, Values v) {
  if (v.size() != 2) return std::nullopt;
  return DivideNoNan(v[0], v[0] + v[1]);
}

// Counts at each threshold, from the lowest to the highest.
struct Confusion {
  Values tp, fp, tn, fn;
  explicit Confusion(Values v)
      : tp(v.subspan(0, v.size() / 4)),
        fp(v.subspan(v.size() / 4, v.size() / 4)),
        tn(v.subspan(v.size() / 2, v.size() / 4)),
        fn(v.subspan(v.size() / 4 * 3, v.size() / 4)) {}
  [[nodiscard]] std::size_t size() const { return tp.size(); }
  [[nodiscard]] double Recall(std::size_t i) const { return DivideNoNan(tp[i], tp[i] + fn[i]); }
  [[nodiscard]] double Precision(std::size_t i) const { return DivideNoNan(tp[i], tp[i] + fp[i]); }
  [[nodiscard]] double Specificity(std::size_t i) const {
    return DivideNoNan(tn[i], tn[i] + fp[i]);
  }
};

// Davis and Goadrich 2006: between two thresholds the true positives grow linearly.
double InterpolatedPrAuc(const Confusion& c) {
  double area = 0;
  for (std::size_t i = 0; i + 1 < c.size(); ++i) {
    const double dtp = c.tp[i] - c.tp[i + 1];
    const double p = c.tp[i] + c.fp[i];
    const double p_next = c.tp[i + 1] + c.fp[i + 1];
    const double slope = DivideNoNan(dtp, std::max(p - p_next, 0.0));
    const double intercept = c.tp[i + 1] - slope * p_next;
    const double ratio = p > 0 && p_next > 0 ? p / p_next : 1.0;
    area += DivideNoNan(slope * (dtp + intercept * std::log(ratio)),
                        std::max(c.tp[i + 1] + c.fn[i + 1], 0.0));
  }
  return area;
}

struct Point {
  double x = 0, y = 0;
};

Point CurvePoint(const Confusion& c, const std::string& curve, std::size_t i) {
  if (curve == "ROC") return {DivideNoNan(c.fp[i], c.fp[i] + c.tn[i]), c.Recall(i)};
  if (curve == "PR") return {c.Recall(i), c.Precision(i)};
  const double scale = DivideNoNan(c.tp[i] + c.fn[i], c.tn[i] + c.fp[i]);
  if (c.tp[i] == 0) return {0.0, 1.0};
  return {std::max(1.0 - scale * DivideNoNan(c.fn[i], c.tp[i]), 0.0),
          1.0 - scale * DivideNoNan(c.fp[i], c.tp[i])};
}

double AreaUnder(const Confusion& c, const std::string& curve, const std::string& summation) {
  if (curve == "PR" && summation == "interpolation") return InterpolatedPrAuc(c);
  double area = 0;
  for (std::size_t i = 0; i + 1 < c.size(); ++i) {
    const Point a = CurvePoint(c, curve, i);
    const Point b = CurvePoint(c, curve, i + 1);
    double height = (a.y + b.y) / 2.0;
    if (summation == "minoring") height = std::min(a.y, b.y);
    if (summation == "majoring") height = std::max(a.y, b.y);
    area += (a.x - b.x) * height;
  }
  return area;
}

std::optional<double> Auc(const Options& o, Values v) {
  if (o.size() != 4) return std::nullopt;
  const bool known = (o[1] == "ROC" || o[1] == "PR" || o[1] == "PRGAIN") &&
                     (o[2] == "interpolation" || o[2] == "minoring" || o[2] == "majoring");
  const auto thresholds = Size(o[3], v.size());
  if (!known || !thresholds || v.size() % (4 * *thresholds) != 0) return std::nullopt;
  const std::size_t label = 4 * *thresholds;
  double total = 0;
  for (std::size_t first = 0; first < v.size(); first += label) {
    total += AreaUnder(Confusion(v.subspan(first, label)), o[1], o[2]);
  }
  const std::size_t labels = v.size() / label;
  return total / static_cast<double>(labels);
}

std::optional<double> Rate(const Confusion& c, const std::string& name, std::size_t i) {
  if (name == "recall") return c.Recall(i);
  if (name == "precision") return c.Precision(i);
  if (name == "specificity") return c.Specificity(i);
  return std::nullopt;
}

std::optional<double> Best(const Options& o, Values v) {
  if (o.size() != 5) return std::nullopt;
  const auto limit = Number(o[3]);
  const auto thresholds = Size(o[4], v.size());
  if (!limit || !thresholds || v.size() != 4 * *thresholds) return std::nullopt;
  const Confusion c(v);
  double best = 0;
  for (std::size_t i = 0; i < c.size(); ++i) {
    const auto wanted = Rate(c, o[1], i);
    const auto constraint = Rate(c, o[2], i);
    if (!wanted || !constraint) return std::nullopt;
    if (*constraint >= *limit) best = std::max(best, *wanted);
  }
  return best;
}

std::optional<double> FBeta(const Options& o, Values v) {
  if (o.size() != 3 || v.empty() || v.size() % 4 != 0) return std::nullopt;
  const auto beta = Number(o[2]);
  if (!beta) return std::nullopt;
  const std::size_t classes = v.size() / 4;
  double total = 0;
  double weights = 0;
  for (std::size_t i = 0; i < classes; ++i) weights += v[3 * classes + i];
  for (std::size_t i = 0; i < classes; ++i) {
    const double tp = v[i];
    const double precision = tp / (tp + v[classes + i] + kEpsilon);
    const double recall = tp / (tp + v[2 * classes + i] + kEpsilon);
    const double square = *beta * *beta;
    const double score =
        precision * recall / (square * precision + recall + kEpsilon) * (1.0 + square);
    total += o[1] == "weighted" ? score * v[3 * classes + i] / (weights + kEpsilon)
                                : score / static_cast<double>(classes);
  }
  return total;
}

std::optional<double> Iou(const Options& o, Values v) {
  if (o.size() != 2) return std::nullopt;
  const auto classes = static_cast<std::size_t>(std::llround(std::sqrt(v.size())));
  if (classes == 0 || classes * classes != v.size()) return std::nullopt;
  double total = 0;
  double valid = 0;
  for (const std::string& text : Split(o[1], ',')) {
    const auto target = Number(text);
    if (!target || *target < 0 || *target >= static_cast<double>(classes)) return std::nullopt;
    const auto t = static_cast<std::size_t>(*target);
    double row = 0;
    double column = 0;
    for (std::size_t i = 0; i < classes; ++i) {
      row += v[t * classes + i];
      column += v[i * classes + t];
    }
    const double hits = v[t * classes + t];
    const double denominator = row + column - hits;
    if (denominator <= 1e-9) continue;
    valid += 1;
    total += hits / (denominator + kEpsilon);
  }
  return total / (valid + kEpsilon);
}

std::optional<double> R2(const Options& o, Values v) {
  if (o.size() != 3 || v.size() < 5 || (v.size() - 1) % 4 != 0) return std::nullopt;
  const auto regressors = Number(o[2]);
  if (!regressors) return std::nullopt;
  const std::size_t outputs = (v.size() - 1) / 4;
  double weighted = 0;
  double weights = 0;
  for (std::size_t i = 0; i < outputs; ++i) {
    const double sum = v[1 + i];
    const double total = v[1 + outputs + i] - sum * (sum / v[1 + 3 * outputs + i]);
    double score = 1.0 - v[1 + 2 * outputs + i] / total;
    if (std::isinf(score)) score = 0;
    const double weight = o[1] == "variance_weighted_average" ? total : 1.0;
    weighted += score * weight;
    weights += weight;
  }
  const double score = weighted / weights;
  const double n = v[0];
  const double p = *regressors;
  if (p == 0 || p >= n - 1) return score;
  return 1.0 - (1.0 - score) * (n - 1.0) / (n - p - 1.0);
}

struct Entry {
  std::string_view kind;
  std::optional<double> (*value)(const Options&, Values);
};
constexpr std::array<Entry, 8> kKinds{{
    {"root_mean", RootMean},
    {"sum", Sum},
    {"share", Share},
    {"auc", Auc},
    {"best", Best},
    {"fbeta", FBeta},
    {"iou", Iou},
    {"r2", R2},
}};

}  // namespace

Result<double> StatefulMetricValue(const std::string& kind, const std::vector<double>& values) {
  const Options options = Split(kind, ':');
  for (const Entry& entry : kKinds) {
    if (entry.kind != options[0]) continue;
    if (const auto value = entry.value(options, values)) return *value;
    break;
  }
  return Invalid("unknown metric kind '" + kind + "' with " + std::to_string(values.size()) +
                 " values");
}

}  // namespace elephas
