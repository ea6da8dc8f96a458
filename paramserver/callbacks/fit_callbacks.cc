#include "paramserver/callbacks/fit_callbacks.h"

#include <memory>

#include "common/json/reader.h"
#include "common/optimizer/optimizer.h"

namespace elephas {

using nlohmann::json;

namespace {

std::string Text(double value) { return json(value).dump(); }

std::string Missing(const Monitor& monitor) {
  return "the epoch has no '" + monitor.name() + "', so nothing is decided by it";
}

}  // namespace

Result<FitCallbacks> FitCallbacks::Make(const JobSpec& spec, const ModelLayout& layout) {
  FitCallbacks made;
  const auto& fit = spec.fit;
  const auto monitor = [&](const MonitorSpec& watched, double min_delta, std::string_view name) {
    return Monitor::Make(watched, min_delta, layout.larger_is_better,
                         "spec.fit." + std::string(name));
  };
  if (fit.early_stopping) {
    ELEPHAS_ASSIGN_OR_RETURN(
        Monitor watched,
        monitor(*fit.early_stopping, fit.early_stopping->min_delta, "earlyStopping"));
    made.early_stopping_.emplace(*fit.early_stopping, std::move(watched));
  }
  if (fit.reduce_lr) {
    ELEPHAS_ASSIGN_OR_RETURN(
        Monitor watched, monitor(*fit.reduce_lr, fit.reduce_lr->min_delta, "reduceLROnPlateau"));
    ELEPHAS_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                             Optimizer::FromConfig(layout.optimizer));
    if (optimizer->HasSchedule()) {
      return Invalid(
          "spec.fit.reduceLROnPlateau: the optimizer's learning rate follows a schedule and cannot "
          "be set");
    }
    made.reduce_lr_.emplace(*fit.reduce_lr, std::move(watched), optimizer->LearningRate(0));
  }
  if (fit.model_checkpoint) {
    ELEPHAS_ASSIGN_OR_RETURN(Monitor watched, monitor(*fit.model_checkpoint, 0, "modelCheckpoint"));
    made.model_checkpoint_.emplace(std::move(watched));
  }
  return made;
}

std::vector<FitCallbacks::Event> FitCallbacks::OnEpochEnd(std::int64_t epoch,
                                                          const EpochLogs& logs) {
  std::vector<Event> events;
  const auto warn = [&](const Monitor& monitor) {
    if (!monitor.Find(logs)) events.push_back({"MonitorMissing", Missing(monitor)});
  };
  if (early_stopping_) {
    warn(early_stopping_->monitor());
    if (early_stopping_->OnEpochEnd(epoch, logs)) {
      stopped_after_ = epoch + 1;
      events.push_back({"EarlyStopping", "training stops after epoch " + std::to_string(epoch + 1) +
                                             ": " + early_stopping_->monitor().name() +
                                             " has not improved for " +
                                             std::to_string(early_stopping_->wait()) + " epochs"});
    }
  }
  if (reduce_lr_) {
    warn(reduce_lr_->monitor());
    // The one that the epoch had; so did those that ended before the job had this callback.
    learning_rates_.resize(static_cast<std::size_t>(epoch) + 1, reduce_lr_->learning_rate());
    if (reduce_lr_->OnEpochEnd(logs)) {
      rate_changed_ = true;
      events.push_back({"LearningRateReduced", "the learning rate is " +
                                                   Text(reduce_lr_->learning_rate()) +
                                                   " after epoch " + std::to_string(epoch + 1)});
    }
  }
  if (model_checkpoint_) {
    warn(model_checkpoint_->monitor());
    model_checkpoint_->OnEpochEnd(epoch, logs, decisions().learning_rate);
  }
  return events;
}

FitDecisions FitCallbacks::decisions() const {
  FitDecisions decided;
  if (reduce_lr_ && rate_changed_) decided.learning_rate = reduce_lr_->learning_rate();
  const auto counted = [](std::optional<std::int64_t> epoch) -> std::optional<std::int64_t> {
    if (!epoch) return std::nullopt;
    return *epoch + 1;
  };
  if (early_stopping_) decided.restore = counted(early_stopping_->restore_epoch());
  if (model_checkpoint_) {
    decided.best = counted(model_checkpoint_->best_epoch());
    decided.best_learning_rate = model_checkpoint_->best_learning_rate();
  }
  return decided;
}

json FitCallbacks::State() const {
  json state = json::object();
  if (early_stopping_) {
    state["earlyStopping"] = early_stopping_->State();
    if (stopped_after_) state["stoppedAfter"] = *stopped_after_;
  }
  if (reduce_lr_) {
    state["reduceLROnPlateau"] = reduce_lr_->State();
    state["rateChanged"] = rate_changed_;
    state["learningRates"] = learning_rates_;
  }
  if (model_checkpoint_) state["modelCheckpoint"] = model_checkpoint_->State();
  return state;
}

Status FitCallbacks::SetState(const json& state) {
  JsonReader reader(state, "callbacks");
  const json none = nullptr;
  const auto part = [&](std::string_view name) -> const json& {
    return reader.Has(name) ? reader.Any(name) : none;
  };
  const json& early_stopping = part("earlyStopping");
  const json& reduce_lr = part("reduceLROnPlateau");
  const json& model_checkpoint = part("modelCheckpoint");
  const json& rates = part("learningRates");
  std::optional<std::int64_t> stopped_after;
  if (reader.Has("stoppedAfter")) stopped_after = reader.Int("stoppedAfter", 1);
  const bool rate_changed = reader.Has("rateChanged") && reader.Bool("rateChanged");
  if (!rates.is_null() && !rates.is_array()) reader.Fail("'learningRates' must be an array");
  for (const json& rate : rates) {
    if (!rate.is_number()) {
      reader.Fail("'learningRates' must hold numbers");
      break;
    }
  }
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  if (early_stopping_ && !early_stopping.is_null()) {
    ELEPHAS_RETURN_IF_ERROR(early_stopping_->SetState(early_stopping));
    stopped_after_ = stopped_after;
  }
  if (reduce_lr_ && !reduce_lr.is_null()) {
    ELEPHAS_RETURN_IF_ERROR(reduce_lr_->SetState(reduce_lr));
    rate_changed_ = rate_changed;
    learning_rates_ = rates.is_array() ? rates.get<std::vector<double>>() : std::vector<double>{};
  }
  if (model_checkpoint_ && !model_checkpoint.is_null()) {
    ELEPHAS_RETURN_IF_ERROR(model_checkpoint_->SetState(model_checkpoint));
  }
  return OkStatus();
}

}  // namespace elephas
