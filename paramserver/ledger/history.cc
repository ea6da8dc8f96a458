#include "paramserver/ledger/history.h"

#include <cmath>

namespace elephas {

using nlohmann::json;

json MetricValues(const MetricSums& sums) {
  json out = json::object();
  for (const auto& [name, state] : sums) {
    const Result<double> value = MetricValue(state);
    out[name] = value.ok() && std::isfinite(*value) ? json(*value) : json();
  }
  return out;
}

EpochLogs LogsOf(const EpochSummary& epoch) {
  EpochLogs logs;
  const auto put = [&](const MetricSums& sums, const std::string& prefix) {
    for (const auto& [name, state] : sums) {
      const Result<double> value = MetricValue(state);
      if (value.ok()) logs[prefix + name] = *value;
    }
  };
  put(epoch.training, "");
  put(epoch.validation, "val_");
  return logs;
}

json HistoryLists(const std::vector<EpochSummary>& history,
                  const std::vector<double>& learning_rates) {
  json lists = json::object();
  const auto put = [&](const std::string& name, std::size_t epoch, json value) {
    json& list = lists[name];
    if (list.is_null()) list = json::array();
    while (list.size() < epoch) list.push_back(nullptr);
    list.push_back(std::move(value));
  };
  for (std::size_t epoch = 0; epoch < history.size(); ++epoch) {
    const EpochSummary& summary = history[epoch];
    put("examples", epoch, summary.examples);
    put("seconds", epoch, summary.seconds);
    const json training = MetricValues(summary.training);
    for (const auto& [name, value] : training.items()) put(name, epoch, value);
    const json validation = MetricValues(summary.validation);
    for (const auto& [name, value] : validation.items()) put("val_" + name, epoch, value);
    if (epoch < learning_rates.size()) put("learning_rate", epoch, learning_rates[epoch]);
  }
  for (auto& list : lists) {
    while (list.size() < history.size()) list.push_back(nullptr);
  }
  return lists;
}

}  // namespace elephas
