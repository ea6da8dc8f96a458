// keras.callbacks.ModelCheckpoint with save_best_only: which epoch's model is the best so far.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/base/result.h"
#include "paramserver/callbacks/monitor.h"

namespace elephas {

// Pure; the caller synchronises.
class ModelCheckpoint {
 public:
  explicit ModelCheckpoint(Monitor monitor);

  // `epoch` from 0, each once and in order; `learning_rate` is what the saved optimizer would have.
  // True: this epoch's model is the best now.
  bool OnEpochEnd(std::int64_t epoch, const EpochLogs& logs, std::optional<double> learning_rate);
  [[nodiscard]] std::optional<std::int64_t> best_epoch() const { return best_epoch_; }
  [[nodiscard]] std::optional<double> best_learning_rate() const { return best_learning_rate_; }
  [[nodiscard]] const Monitor& monitor() const { return monitor_; }

  [[nodiscard]] nlohmann::json State() const;
  Status SetState(const nlohmann::json& state);

 private:
  Monitor monitor_;
  std::optional<double> best_;
  std::optional<std::int64_t> best_epoch_;
  std::optional<double> best_learning_rate_;
};

}  // namespace elephas
