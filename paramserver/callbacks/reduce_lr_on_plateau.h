// keras.callbacks.ReduceLROnPlateau: a smaller learning rate when nothing gets better any more.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/base/result.h"
#include "paramserver/callbacks/monitor.h"

namespace elephas {

// Pure; the caller synchronises.
class ReduceLrOnPlateau {
 public:
  // `learning_rate` is the optimizer's.
  ReduceLrOnPlateau(ReduceLrSpec spec, Monitor monitor, double learning_rate);

  // Of each epoch once, in order. True: the learning rate has been lowered.
  bool OnEpochEnd(const EpochLogs& logs);
  // For the next epoch. A float32, as the variable of Keras' optimizer is.
  [[nodiscard]] double learning_rate() const { return learning_rate_; }
  [[nodiscard]] const Monitor& monitor() const { return monitor_; }

  [[nodiscard]] nlohmann::json State() const;
  Status SetState(const nlohmann::json& state);

 private:
  bool Reduce();

  ReduceLrSpec spec_;
  Monitor monitor_;
  float learning_rate_;
  std::int64_t wait_ = 0;      // epochs since the last improvement or reduction
  std::int64_t cooldown_ = 0;  // epochs that are left of it
  std::optional<double> best_;
};

}  // namespace elephas
