#include "paramserver/callbacks/monitor.h"

#include <cmath>
#include <limits>

namespace elephas {

using nlohmann::json;

Result<Monitor> Monitor::Make(const MonitorSpec& spec, double min_delta,
                              const std::map<std::string, bool>& larger_is_better,
                              std::string_view field) {
  Monitor monitor;
  monitor.name_ = spec.monitor;
  monitor.min_delta_ = std::abs(min_delta);
  if (spec.mode != MonitorMode::kAuto) {
    monitor.larger_ = spec.mode == MonitorMode::kMax;
    return monitor;
  }
  constexpr std::string_view kValidation = "val_";
  std::string metric = spec.monitor;
  if (metric.starts_with(kValidation)) metric.erase(0, kValidation.size());
  const auto known = larger_is_better.find(metric);
  if (known != larger_is_better.end()) {
    monitor.larger_ = known->second;
  } else if (metric != "loss") {
    return Invalid(std::string(field) + ": whether a larger or a smaller '" + spec.monitor +
                   "' is better cannot be told from its name: set mode to max or min");
  }
  return monitor;
}

std::optional<double> Monitor::Find(const EpochLogs& logs) const {
  const auto it = logs.find(name_);
  return it == logs.end() ? std::nullopt : std::optional(it->second);
}

// Keras compares float32 tensors, so a difference that float32 does not see is none.
bool Monitor::Improves(double value, std::optional<double> reference) const {
  if (!reference) return true;
  const auto least = static_cast<float>(*reference);
  return larger_ ? static_cast<float>(value - min_delta_) > least
                 : static_cast<float>(value + min_delta_) < least;
}

json StateNumber(std::optional<double> value) {
  if (!value) return nullptr;
  if (std::isfinite(*value)) return *value;
  return std::isnan(*value) ? "NaN" : *value > 0 ? "Infinity" : "-Infinity";
}

Result<std::optional<double>> StateNumberFrom(const json& input) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (input.is_null()) return std::optional<double>();
  if (input.is_number()) return std::optional(input.get<double>());
  if (input == "NaN") return std::optional(std::numeric_limits<double>::quiet_NaN());
  if (input == "Infinity") return std::optional(kInfinity);
  if (input == "-Infinity") return std::optional(-kInfinity);
  return Invalid("a callback's state holds " + input.dump() + " where a number belongs");
}

}  // namespace elephas
