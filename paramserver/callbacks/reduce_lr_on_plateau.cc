#include "paramserver/callbacks/reduce_lr_on_plateau.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/json/reader.h"

namespace elephas {

using nlohmann::json;

ReduceLrOnPlateau::ReduceLrOnPlateau(ReduceLrSpec spec, Monitor monitor, double learning_rate)
    : spec_(std::move(spec)),
      monitor_(std::move(monitor)),
      learning_rate_(static_cast<float>(learning_rate)) {}

bool ReduceLrOnPlateau::OnEpochEnd(const EpochLogs& logs) {
  const std::optional<double> current = monitor_.Find(logs);
  if (!current) return false;
  if (cooldown_ > 0) {
    --cooldown_;
    wait_ = 0;
  }
  if (monitor_.Improves(*current, best_)) {
    best_ = current;
    wait_ = 0;
    return false;
  }
  if (cooldown_ > 0) return false;
  ++wait_;
  if (wait_ < spec_.patience || !Reduce()) return false;
  cooldown_ = spec_.cooldown;
  wait_ = 0;
  return true;
}

// False when the learning rate is as low as it may be.
bool ReduceLrOnPlateau::Reduce() {
  if (!(learning_rate_ > static_cast<float>(spec_.min_lr))) return false;
  const double lower = static_cast<double>(learning_rate_) * spec_.factor;
  learning_rate_ = static_cast<float>(std::max(lower, spec_.min_lr));
  return true;
}

json ReduceLrOnPlateau::State() const {
  return {{"wait", wait_},
          {"cooldown", cooldown_},
          {"best", StateNumber(best_)},
          {"learningRate", static_cast<double>(learning_rate_)}};
}

Status ReduceLrOnPlateau::SetState(const json& state) {
  JsonReader reader(state, "reduceLROnPlateau");
  wait_ = reader.Int("wait", 0);
  cooldown_ = reader.Int("cooldown", 0);
  const json& best = reader.Any("best");
  const double rate = reader.Number("learningRate");
  if (!std::isfinite(rate) || rate < 0) reader.Fail("'learningRate' must not be negative");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_ASSIGN_OR_RETURN(best_, StateNumberFrom(best));
  learning_rate_ = static_cast<float>(rate);
  return OkStatus();
}

}  // namespace elephas
