#include "paramserver/callbacks/model_checkpoint.h"

#include <utility>

#include "common/json/reader.h"

namespace elephas {

using nlohmann::json;

ModelCheckpoint::ModelCheckpoint(Monitor monitor) : monitor_(std::move(monitor)) {}

bool ModelCheckpoint::OnEpochEnd(std::int64_t epoch, const EpochLogs& logs,
                                 std::optional<double> learning_rate) {
  const std::optional<double> current = monitor_.Find(logs);
  if (!current || !monitor_.Improves(*current, best_)) return false;
  best_ = current;
  best_epoch_ = epoch;
  best_learning_rate_ = learning_rate;
  return true;
}

json ModelCheckpoint::State() const {
  return {{"best", StateNumber(best_)},
          {"bestEpoch", best_epoch_ ? json(*best_epoch_) : json()},
          {"bestLearningRate", StateNumber(best_learning_rate_)}};
}

Status ModelCheckpoint::SetState(const json& state) {
  JsonReader reader(state, "modelCheckpoint");
  const json& best = reader.Any("best");
  const json& rate = reader.Any("bestLearningRate");
  best_epoch_.reset();
  if (reader.Has("bestEpoch")) best_epoch_ = reader.Int("bestEpoch", 0);
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_ASSIGN_OR_RETURN(best_, StateNumberFrom(best));
  ELEPHAS_ASSIGN_OR_RETURN(best_learning_rate_, StateNumberFrom(rate));
  return OkStatus();
}

}  // namespace elephas
