// What people see of a job.
#include <algorithm>

#include "paramserver/job/job_service_impl.h"
#include "paramserver/ledger/history.h"

namespace elephas {

using nlohmann::json;

json JobServiceImpl::HistoryJson() const {
  const std::lock_guard lock(mutex_);
  if (!ledger_) return json::object();
  return HistoryLists(ledger_->history(), LearningRates());
}

std::string_view JobServiceImpl::StateWord() const {
  if (failed_) return "Failed";
  if (finalized()) return "Succeeded";
  if (!ReadyLocked() || !store_ || !store_->initialised()) return "Initializing";
  return ledger_->AllDone() ? "Finalizing" : "Running";
}

double JobServiceImpl::Progress() const {
  const std::int64_t per_epoch =
      plan_->task == TaskKind::kTrain ? plan_->training_rows : plan_->examples;
  const std::int64_t total = per_epoch * std::max<std::int64_t>(plan_->epochs, 1);
  return static_cast<double>(ledger_->ExamplesApplied()) / static_cast<double>(total);
}

JobSample JobServiceImpl::Sample() const {
  const auto values = [](const MetricSums& sums, const std::string& prefix, auto& out) {
    for (const auto& [name, state] : sums) {
      if (const Result<double> value = MetricValue(state); value.ok()) out[prefix + name] = *value;
    }
  };
  const std::lock_guard lock(mutex_);
  JobSample sample;
  sample.state = StateWord();
  sample.counters = counters_;
  sample.incarnation = incarnation_.value();
  sample.epochs = spec_.task == TaskKind::kTrain ? spec_.fit.epochs : 0;
  if (writer_) {
    const std::lock_guard cuts_lock(cuts_mutex_);
    sample.checkpoints = checkpoints_;
  }
  const Clock::TimePoint now = clock_.Now();
  for (const auto& [name, worker] : coordinator_.workers()) {
    if (!worker.live) {
      ++sample.lost_workers;
      continue;
    }
    JobSample::Worker& entry = sample.workers.emplace_back();
    entry.name = name;
    entry.examples = worker.examples;
    entry.silent_seconds = std::chrono::duration<double>(now - worker.last_seen).count();
    for (const auto& [id, held] : coordinator_.leases()) entry.busy |= held.worker == name;
  }
  sample.leases = static_cast<std::int64_t>(coordinator_.leases().size());
  if (!store_ || !store_->initialised()) return sample;
  sample.version = store_->version().value();
  sample.parameters = store_->range().size();
  sample.epoch = ledger_->ClosedEpochs();
  sample.progress = Progress();
  sample.examples_per_second = throughput_.ExamplesPerSecond();
  values(ledger_->Running(ledger_->OpenEpoch()).training, "", sample.running_metrics);
  if (!ledger_->history().empty()) {
    const EpochSummary& last = ledger_->history().back();
    values(last.training, "", sample.epoch_metrics);
    values(last.validation, "val_", sample.epoch_metrics);
    sample.last_epoch_seconds = last.seconds;
  }
  return sample;
}

// What there is of the job once it has parameters; `out` holds the values of before.
void JobServiceImpl::AddProgress(json& out) const {
  const std::int64_t per_epoch =
      plan_->task == TaskKind::kTrain ? plan_->training_rows : plan_->examples;
  const std::int64_t total = per_epoch * std::max<std::int64_t>(plan_->epochs, 1);
  const std::int64_t applied = ledger_->ExamplesApplied();
  const EpochSummary running = ledger_->Running(ledger_->OpenEpoch());
  out["version"] = store_->version().value();
  out["epoch"] = ledger_->ClosedEpochs();
  out["examples"] = plan_->task == TaskKind::kTrain ? running.examples : applied;
  out["examplesPerEpoch"] = per_epoch;
  out["progress"] = Progress();
  const double rate = throughput_.ExamplesPerSecond();
  if (rate > 0) out["secondsRemaining"] = static_cast<double>(total - applied) / rate;
  out["metrics"] = MetricValues(running.training);
  out["history"] = HistoryLists(ledger_->history(), LearningRates());
  if (plan_->task != TaskKind::kEvaluate) return;
  const Result<MetricSums> totals = ledger_->Totals();
  out["metrics"] = totals.ok() ? MetricValues(*totals) : json::object();
  if (ledger_->AllDone()) out["result"] = {{"metrics", out["metrics"]}};
}

json JobServiceImpl::WorkersJson() const {
  json workers = json::array();
  for (const auto& [name, worker] : coordinator_.workers()) {
    json entry{{"name", name}, {"examples", worker.examples}, {"lease", nullptr}};
    bool busy = false;
    for (const auto& [id, held] : coordinator_.leases()) {
      if (held.worker != name) continue;
      busy = true;
      entry["lease"] = {{"lease", id.value()},
                        {"task", Word(held.task.kind)},
                        {"epoch", held.task.epoch.value()},
                        {"partition", held.task.partition.value()}};
    }
    entry["state"] = !worker.live ? "Lost" : busy ? "Working" : "Idle";
    workers.push_back(std::move(entry));
  }
  return workers;
}

json JobServiceImpl::StatusJson() const {
  const std::lock_guard lock(mutex_);
  json out;
  out["job"] = spec_.name;
  out["uid"] = options_.uid;
  out["task"] = Word(spec_.task);
  out["mode"] = Word(spec_.mode);
  out["frequency"] = Word(spec_.frequency);
  out["incarnation"] = incarnation_.value();
  out["server"] = options_.server_index;
  out["servers"] = spec_.parameter_servers.replicas;
  out["state"] = StateWord();
  out["reason"] = failure_reason_;
  out["message"] = failure_message_;
  out["version"] = 0;
  out["partitions"] = spec_.data.partitions;
  out["epochs"] = spec_.task == TaskKind::kTrain ? spec_.fit.epochs : 0;
  out["epoch"] = 0;
  out["examples"] = 0;
  out["examplesPerEpoch"] = 0;
  out["progress"] = 0.0;
  out["examplesPerSecond"] = throughput_.ExamplesPerSecond();
  out["secondsRemaining"] = nullptr;
  out["metrics"] = json::object();
  out["history"] = json::object();
  if (store_ && store_->initialised()) AddProgress(out);
  out["workers"] = WorkersJson();
  out["transport"] = GroupJson();
  out["warnings"] = json::array();
  for (const Warning& warning : warnings_) {
    out["warnings"].push_back({{"reason", warning.reason}, {"message", warning.message}});
  }
  if (!restored_run_.empty() && restored_run_ != options_.uid) {
    out["resumedFrom"] = {{"uid", restored_run_}, {"epoch", restored_cut_}};
  }
  out["outputs"] = outputs_;
  out["events"] = events_.ToJson();
  return out;
}

}  // namespace elephas
