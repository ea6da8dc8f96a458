// Reads losses and metrics out of what keras.Model.compile takes, output by output.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/losses/loss.h"
#include "worker/keras/metrics/metric.h"

namespace elephas::keras {

struct LossTerm {
  std::size_t output = 0;
  std::unique_ptr<Loss> loss;  // null: "crossentropy", chosen when labels are seen
  double weight = 1.0;
  std::string name;  // "dense_1_loss"
};

struct MetricTerm {
  std::size_t output = 0;
  std::string name;                      // unique, as Keras reports it
  std::shared_ptr<const Metric> metric;  // null: an accuracy, chosen when labels are seen
  bool weighted = false;
  std::optional<bool> larger_is_better;  // nothing: the metric does not say
};

struct CompileTerms {
  std::vector<LossTerm> losses;
  std::vector<MetricTerm> metrics;
};

// kInvalid names the field of `compile` and what is wrong.
Result<CompileTerms> ParseCompile(const nlohmann::json& compile,
                                  const std::vector<std::string>& output_names);

}  // namespace elephas::keras
