// keras.callbacks.EarlyStopping: when training has gone on for long enough without an improvement.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/base/result.h"
#include "paramserver/callbacks/monitor.h"

namespace elephas {

// Pure; the caller synchronises.
class EarlyStopping {
 public:
  EarlyStopping(EarlyStoppingSpec spec, Monitor monitor);

  // `epoch` from 0, each once and in order. True: stop after this one.
  bool OnEpochEnd(std::int64_t epoch, const EpochLogs& logs);
  // The epoch whose weights the job would end with; nothing unless best weights are restored, and
  // before the first epoch that counts.
  [[nodiscard]] std::optional<std::int64_t> restore_epoch() const { return best_epoch_; }
  [[nodiscard]] const Monitor& monitor() const { return monitor_; }
  [[nodiscard]] std::int64_t wait() const { return wait_; }

  [[nodiscard]] nlohmann::json State() const;
  Status SetState(const nlohmann::json& state);

 private:
  EarlyStoppingSpec spec_;
  Monitor monitor_;
  std::int64_t wait_ = 0;  // epochs since the last improvement
  std::optional<double> best_;
  std::optional<std::int64_t> best_epoch_;
};

}  // namespace elephas
