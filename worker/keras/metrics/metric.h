// Keras' metrics by name, as additive states (common/protocol/protocol.h): what a batch adds is computed
// here, the value of a total in common/protocol/metric_values.h.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/protocol.h"
#include "worker/keras/config/config_reader.h"

namespace elephas::keras {

// One batch as a metric sees it. `weights` are sample weights, `mask` is the predictions' mask;
// either may be undefined. No gradients are recorded.
struct MetricInput {
  at::Tensor y_true, y_pred, weights, mask;
};

class Metric {
 public:
  virtual ~Metric() = default;
  // Adds one batch to `state`, which is Empty() or a sum.
  virtual void Update(const MetricInput& batch, MetricState& state) const = 0;
  [[nodiscard]] virtual MetricState Empty() const { return {"mean", {0.0, 0.0}}; }
  // True: Added() is there. False: this metric is only computed by Update(), which waits for the
  // device.
  [[nodiscard]] virtual bool defers() const { return false; }
  // What Update() would add to the values, as float64 where the batch is and without waiting for
  // the device.
  [[nodiscard]] virtual at::Tensor Added(const MetricInput& /*batch*/) const { return {}; }
};

struct MetricEntry {
  std::string_view class_name;  // "TopKCategoricalAccuracy"
  std::string_view name;        // the string that metrics=[…] takes, and the default name
  std::string_view short_name;  // "mse"; its upper-case form is accepted too. May be empty
  std::unique_ptr<Metric> (*make)(ConfigReader& options);
};
// The families, one file each under metrics/.
std::span<const MetricEntry> MeanMetrics();
std::span<const MetricEntry> ConfusionMetrics();
std::span<const MetricEntry> AggregateMetrics();
// All of them.
std::vector<std::span<const MetricEntry>> MetricFamilies();

// Which way a metric gets better, as its class says in Keras; nothing where it says nothing.
std::optional<bool> LargerIsBetter(std::string_view class_name);

// Null when no metric has that name.
const MetricEntry* FindMetric(std::string_view name);

struct NamedMetric {
  std::string name;  // as Keras reports it
  std::shared_ptr<const Metric> metric;
  std::string class_name = {};
};
// As keras.metrics.get. kInvalid names what is unknown.
Result<NamedMetric> MakeMetric(const nlohmann::json& identifier, const std::string& where);

// Keras' Mean: adds the (weighted) mean over all but the first axis, sample by sample.
void AddToMean(at::Tensor values, const at::Tensor& weights, MetricState& state);
// The same two sums as a float64 vector [2] on the values' device.
at::Tensor MeanSums(at::Tensor values, const at::Tensor& weights);

}  // namespace elephas::keras
