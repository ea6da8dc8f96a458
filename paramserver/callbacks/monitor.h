// When a monitored value counts as better, as keras.callbacks.MonitorCallback decides it.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"

namespace elephas {

// What an epoch gave, by history.json's names. NaN is a value, and never a better one.
using EpochLogs = std::map<std::string, double>;

class Monitor {
 public:
  // `larger_is_better` is what the metrics say of themselves (ModelLayout). kInvalid when mode is
  // auto and nobody knows; `field` ("spec.fit.earlyStopping") then starts the message.
  static Result<Monitor> Make(const MonitorSpec& spec, double min_delta,
                              const std::map<std::string, bool>& larger_is_better,
                              std::string_view field);

  [[nodiscard]] const std::string& name() const { return name_; }
  // Nothing when the epoch has no such value.
  [[nodiscard]] std::optional<double> Find(const EpochLogs& logs) const;
  // Anything is better than no reference.
  [[nodiscard]] bool Improves(double value, std::optional<double> reference) const;

 private:
  std::string name_;
  bool larger_ = false;
  double min_delta_ = 0;
};

// Numbers of a callback's state: JSON has no NaN and no infinity.
nlohmann::json StateNumber(std::optional<double> value);
// Null is nothing. kInvalid for anything that StateNumber does not give.
Result<std::optional<double>> StateNumberFrom(const nlohmann::json& input);

}  // namespace elephas
