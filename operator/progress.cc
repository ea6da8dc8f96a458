#include "operator/progress.h"

#include <algorithm>
#include <cmath>
#include <utility>

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

// The last value of each list that is a metric.
void AddLastOf(const json& history, json& metrics) {
  for (const auto& [name, values] : history.items()) {
    if (name == "examples" || name == "seconds" || !values.is_array() || values.empty()) continue;
    if (values.back().is_number()) metrics[name] = values.back();
  }
}

// A few short ones: they come from a pod and go into the object's status.
void AddWarnings(const json& status, std::vector<Progress::Warning>& warnings) {
  constexpr std::size_t kMost = 10, kReasonBytes = 64, kMessageBytes = 1024;
  const auto found = status.find("warnings");
  if (found == status.end() || !found->is_array()) return;
  for (const json& entry : *found) {
    if (warnings.size() == kMost || !entry.is_object()) return;
    Progress::Warning warning{ValueOr<std::string>(entry, "reason", ""),
                              ValueOr<std::string>(entry, "message", "")};
    if (warning.reason.empty() || warning.reason.size() > kReasonBytes) continue;
    std::size_t size = std::min(warning.message.size(), kMessageBytes);
    // Not in the middle of a character.
    while (size > 0 && size < warning.message.size() &&
           (static_cast<unsigned char>(warning.message[size]) & 0xC0U) == 0x80U) {
      --size;
    }
    warning.message.resize(size);
    warnings.push_back(std::move(warning));
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
  AddWarnings(status, progress.warnings);
  if (const auto transport = status.find("transport");
      transport != status.end() && transport->is_object()) {
    progress.transport = ValueOr<std::string>(*transport, "now", "");
    progress.transport_reason = ValueOr<std::string>(*transport, "reason", "");
  }
  return progress;
}

std::optional<Progress> ProgressFromMessage(std::string_view message) {
  return ProgressFromStatus(json::parse(message, nullptr, /*allow_exceptions=*/false));
}

}  // namespace elephas
