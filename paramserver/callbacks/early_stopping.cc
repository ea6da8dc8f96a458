#include "paramserver/callbacks/early_stopping.h"

#include <utility>

#include "common/json/reader.h"

namespace elephas {

using nlohmann::json;

EarlyStopping::EarlyStopping(EarlyStoppingSpec spec, Monitor monitor)
    : spec_(std::move(spec)), monitor_(std::move(monitor)) {}

bool EarlyStopping::OnEpochEnd(std::int64_t epoch, const EpochLogs& logs) {
  const std::optional<double> current = monitor_.Find(logs);
  if (!current || epoch < spec_.start_from_epoch) return false;
  if (spec_.restore_best_weights && !best_epoch_) best_epoch_ = epoch;
  ++wait_;
  if (monitor_.Improves(*current, best_)) {
    best_ = current;
    if (spec_.restore_best_weights) best_epoch_ = epoch;
    // Better than before, but patience starts anew only for what beats the baseline too.
    if (!spec_.baseline || monitor_.Improves(*current, spec_.baseline)) wait_ = 0;
    return false;
  }
  // Keras never stops after the very first epoch.
  return wait_ >= spec_.patience && epoch > 0;
}

json EarlyStopping::State() const {
  return {{"wait", wait_},
          {"best", StateNumber(best_)},
          {"bestEpoch", best_epoch_ ? json(*best_epoch_) : json()}};
}

Status EarlyStopping::SetState(const json& state) {
  JsonReader reader(state, "earlyStopping");
  wait_ = reader.Int("wait", 0);
  const json& best = reader.Any("best");
  best_epoch_.reset();
  if (reader.Has("bestEpoch")) best_epoch_ = reader.Int("bestEpoch", 0);
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_ASSIGN_OR_RETURN(best_, StateNumberFrom(best));
  if (!spec_.restore_best_weights) best_epoch_.reset();
  return OkStatus();
}

}  // namespace elephas
