#include "operator/progress.h"

#include <cmath>

namespace elephas {

namespace {

using nlohmann::json;

template <typename T>
T ValueOr(const json& object, const char* name, T fallback) {
  const auto found = object.find(name);
  if (found == object.end()) return fallback;
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? found->get<std::string>() : fallback;
  } else {
    return found->is_number() ? found->get<T>() : fallback;
  }
}

std::set<std::string> Contributors(const json& status) {
  std::set<std::string> names;
  const auto workers = status.find("workers");
  if (workers == status.end() || !workers->is_array()) return names;
  for (const json& worker : *workers) {
    if (!worker.is_object() || ValueOr<double>(worker, "examples", 0) <= 0) continue;
    names.insert(ValueOr<std::string>(worker, "name", ""));
  }
  return names;
}

// The last value of each list that is a metric.
void AddLastOf(const json& history, json& metrics) {
  for (const auto& [name, values] : history.items()) {
    if (name == "examples" || name == "seconds" || !values.is_array() || values.empty()) continue;
    if (values.back().is_number()) metrics[name] = values.back();
  }
}

}  // namespace

std::optional<Progress> ProgressFromStatus(const json& status) {
  if (!status.is_object() || ValueOr<std::string>(status, "state", "").empty()) {
    return std::nullopt;
  }
  Progress progress;
  progress.state = ValueOr<std::string>(status, "state", "");
  progress.reason = ValueOr<std::string>(status, "reason", "");
  progress.message = ValueOr<std::string>(status, "message", "");
  progress.epoch = ValueOr<std::int64_t>(status, "epoch", 0);
  progress.epochs = ValueOr<std::int64_t>(status, "epochs", 0);
  progress.done = ValueOr<double>(status, "progress", 0);
  progress.examples_per_second = ValueOr<double>(status, "examplesPerSecond", 0);
  if (const auto left = status.find("secondsRemaining");
      left != status.end() && left->is_number() && std::isfinite(left->get<double>())) {
    progress.seconds_remaining = left->get<double>();
  }
  progress.metrics = json::object();
  if (const auto history = status.find("history");
      history != status.end() && history->is_object()) {
    AddLastOf(*history, progress.metrics);
  }
  if (progress.metrics.empty()) {
    if (const auto now = status.find("metrics"); now != status.end() && now->is_object()) {
      for (const auto& [name, value] : now->items()) {
        if (value.is_number()) progress.metrics[name] = value;
      }
    }
  }
  if (const auto outputs = status.find("outputs"); outputs != status.end() && outputs->is_array()) {
    for (const json& output : *outputs) {
      if (output.is_string()) progress.outputs.push_back(output.get<std::string>());
    }
  }
  if (const auto transport = status.find("transport");
      transport != status.end() && transport->is_object()) {
    progress.transport = ValueOr<std::string>(*transport, "now", "");
    progress.transport_reason = ValueOr<std::string>(*transport, "reason", "");
  }
  progress.contributors = Contributors(status);
  return progress;
}

std::optional<Progress> ProgressFromMessage(std::string_view message) {
  return ProgressFromStatus(json::parse(message, nullptr, /*allow_exceptions=*/false));
}

}  // namespace elephas
