// The training callbacks of a job: what is decided when an epoch ends, and what of it must outlive
// a server. Server 0 has them; the others learn what was decided from the updates (FitDecisions).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/protocol.h"
#include "paramserver/callbacks/early_stopping.h"
#include "paramserver/callbacks/model_checkpoint.h"
#include "paramserver/callbacks/reduce_lr_on_plateau.h"

namespace elephas {

// Pure; the caller synchronises.
class FitCallbacks {
 public:
  // kInvalid names the callback: nobody knows which way its metric gets better, or the optimizer's
  // learning rate cannot be set.
  static Result<FitCallbacks> Make(const JobSpec& spec, const ModelLayout& layout);

  // Something that people want to hear.
  struct Event {
    std::string reason, message;
  };
  // `epoch` from 0, each once and in order.
  std::vector<Event> OnEpochEnd(std::int64_t epoch, const EpochLogs& logs);

  // After how many epochs training stops; nothing: after all of them.
  [[nodiscard]] std::optional<std::int64_t> stopped_after() const { return stopped_after_; }
  [[nodiscard]] FitDecisions decisions() const;
  // The learning rate of each epoch that has ended, for history.json; empty unless it may change.
  [[nodiscard]] const std::vector<double>& learning_rates() const { return learning_rates_; }

  // For the checkpoint. A callback that the state does not know starts anew; one that the job does
  // not have any more is left out. kInvalid for a state that this class did not write.
  [[nodiscard]] nlohmann::json State() const;
  Status SetState(const nlohmann::json& state);

 private:
  // In this order at each epoch's end.
  std::optional<EarlyStopping> early_stopping_;
  std::optional<ReduceLrOnPlateau> reduce_lr_;
  std::optional<ModelCheckpoint> model_checkpoint_;

  std::optional<std::int64_t> stopped_after_;
  bool rate_changed_ = false;
  std::vector<double> learning_rates_;
};

}  // namespace elephas
