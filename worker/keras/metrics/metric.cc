#include "worker/keras/metrics/metric.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <numeric>
#include <utility>
#include <vector>

#include "worker/keras/losses/loss.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

std::vector<std::int64_t> AxesFrom(std::int64_t first, std::int64_t last) {
  std::vector<std::int64_t> axes(static_cast<std::size_t>(last - first));
  std::iota(axes.begin(), axes.end(), first);
  return axes;
}

// Values of each sample, weighted, and what they count; undefined: 1 each.
struct MeanTerms {
  Tensor values, factors;
};
MeanTerms TermsOf(Tensor values, const Tensor& weights) {
  Tensor factors = weights;
  if (factors.defined()) {
    SqueezeOrExpand(values, factors);
    const std::int64_t rank = factors.dim();
    if (values.dim() > rank) values = values.mean(AxesFrom(rank, values.dim()));
    factors = factors.expand_as(values);
    values = values * factors;
    if (rank > 1) factors = factors.mean(AxesFrom(1, rank));
  }
  if (values.dim() > 1) values = values.mean(AxesFrom(1, values.dim()));
  return {std::move(values), std::move(factors)};
}

double CountOf(const Tensor& values) {
  return values.dim() > 0 ? static_cast<double>(values.size(0)) : 1.0;
}

double Sum(const Tensor& x) { return x.sum(at::kDouble).item<double>(); }

}  // namespace

void AddToMean(Tensor values, const Tensor& weights, MetricState& state) {
  const MeanTerms terms = TermsOf(std::move(values), weights);
  state.values[0] += Sum(terms.values);
  state.values[1] += terms.factors.defined() ? Sum(terms.factors) : CountOf(terms.values);
}

Tensor MeanSums(Tensor values, const Tensor& weights) {
  const MeanTerms terms = TermsOf(std::move(values), weights);
  const Tensor sum = terms.values.sum(at::kDouble);
  return at::stack({sum, terms.factors.defined() ? terms.factors.sum(at::kDouble)
                                                 : at::full_like(sum, CountOf(terms.values))});
}

std::vector<std::span<const MetricEntry>> MetricFamilies() {
  return {MeanMetrics(), ConfusionMetrics(), AggregateMetrics()};
}

std::optional<bool> LargerIsBetter(std::string_view class_name) {
  constexpr std::array<std::string_view, 14> kSmaller{"MeanSquaredError",
                                                      "MeanAbsoluteError",
                                                      "MeanAbsolutePercentageError",
                                                      "MeanSquaredLogarithmicError",
                                                      "RootMeanSquaredError",
                                                      "LogCoshError",
                                                      "KLDivergence",
                                                      "Poisson",
                                                      "BinaryCrossentropy",
                                                      "CategoricalCrossentropy",
                                                      "SparseCategoricalCrossentropy",
                                                      "Hinge",
                                                      "SquaredHinge",
                                                      "CategoricalHinge"};
  constexpr std::array<std::string_view, 4> kCounts{"TruePositives", "FalsePositives",
                                                    "TrueNegatives", "FalseNegatives"};
  if (std::ranges::find(kCounts, class_name) != kCounts.end()) return std::nullopt;
  return std::ranges::find(kSmaller, class_name) == kSmaller.end();
}

const MetricEntry* FindMetric(std::string_view name) {
  for (const auto family : MetricFamilies()) {
    for (const MetricEntry& entry : family) {
      std::string upper(entry.short_name);
      std::transform(upper.begin(), upper.end(), upper.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      if (name == entry.class_name || name == entry.name ||
          (!upper.empty() && (name == entry.short_name || name == upper))) {
        return &entry;
      }
    }
  }
  return nullptr;
}

Result<NamedMetric> MakeMetric(const json& identifier, const std::string& where) {
  ELEPHAS_ASSIGN_OR_RETURN(const ObjectConfig object, ParseObject(identifier, where));
  const MetricEntry* entry = FindMetric(object.name);
  if (entry == nullptr) return Invalid(where + ": metric '" + object.name + "' is not supported");
  ConfigReader reader(object.config, where + " (" + object.name + ")");
  reader.Ignore({"dtype", "fn"});
  // A string names the metric as the user typed it; an object has a name of its own.
  NamedMetric metric{
      reader.String("name", identifier.is_string() ? object.name : std::string(entry->name)),
      entry->make(reader), std::string(entry->class_name)};
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return metric;
}

}  // namespace elephas::keras
