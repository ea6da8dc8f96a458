// What people see of a job.
#include <algorithm>

#include "paramserver/job/job_service_impl.h"
#include "paramserver/ledger/history.h"

namespace elephas {

using nlohmann::json;

json JobServiceImpl::HistoryJson() const {
  const MutexLock lock(mutex_);
  if (!training_) return json::object();
  return HistoryLists(training_->ledger.history(), training_->LearningRates());
}

std::string_view JobServiceImpl::StateWord() const {
  if (ending_.failed()) return "Failed";
  if (finalized()) return "Succeeded";
  if (!incarnations_.Agreed() || !initialised()) return "Initializing";
  return training_->ledger.AllDone() ? "Finalizing" : "Running";
}

JobSample JobServiceImpl::Sample() const {
  const auto values = [](const MetricSums& sums, const std::string& prefix, auto& out) {
    for (const auto& [name, state] : sums) {
      if (const Result<double> value = MetricValue(state); value.ok()) out[prefix + name] = *value;
    }
  };
  const MutexLock lock(mutex_);
  JobSample sample;
  sample.state = StateWord();
  sample.counters = counters_;
  sample.incarnation = incarnations_.current().value();
  sample.epochs = spec_.task == TaskKind::kTrain ? spec_.fit.epochs : 0;
  sample.checkpoints = checkpoints_.Counters();
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
  if (!initialised()) return sample;
  const Ledger& ledger = training_->ledger;
  sample.version = training_->store.version().value();
  sample.parameters = training_->store.range().size();
  sample.epoch = ledger.ClosedEpochs();
  sample.progress = training_->Progress();
  sample.examples_per_second = throughput_.ExamplesPerSecond();
  values(ledger.Running(ledger.OpenEpoch()).training, "", sample.running_metrics);
  if (!ledger.history().empty()) {
    const EpochSummary& last = ledger.history().back();
    values(last.training, "", sample.epoch_metrics);
    values(last.validation, "val_", sample.epoch_metrics);
    sample.last_epoch_seconds = last.seconds;
  }
  return sample;
}

void JobServiceImpl::FillProgress(json& out) const {
  const JobPlan& plan = training_->plan;
  const Ledger& ledger = training_->ledger;
  const std::int64_t per_epoch = plan.task == TaskKind::kTrain ? plan.training_rows : plan.examples;
  const std::int64_t total = per_epoch * std::max<std::int64_t>(plan.epochs, 1);
  const std::int64_t applied = ledger.ExamplesApplied();
  const EpochSummary running = ledger.Running(ledger.OpenEpoch());
  out["version"] = training_->store.version().value();
  out["epoch"] = ledger.ClosedEpochs();
  out["examples"] = plan.task == TaskKind::kTrain ? running.examples : applied;
  out["examplesPerEpoch"] = per_epoch;
  out["progress"] = training_->Progress();
  const double rate = throughput_.ExamplesPerSecond();
  if (rate > 0) out["secondsRemaining"] = static_cast<double>(total - applied) / rate;
  out["metrics"] = MetricValues(running.training);
  out["history"] = HistoryLists(ledger.history(), training_->LearningRates());
  if (plan.task == TaskKind::kEvaluate) {
    const Result<MetricSums> totals = ledger.Totals();
    out["metrics"] = totals.ok() ? MetricValues(*totals) : json::object();
    if (ledger.AllDone()) out["result"] = {{"metrics", out["metrics"]}};
  }
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
  const MutexLock lock(mutex_);
  json out;
  out["job"] = spec_.name;
  out["uid"] = options_.uid;
  out["task"] = Word(spec_.task);
  out["mode"] = Word(spec_.mode);
  out["frequency"] = Word(spec_.frequency);
  out["incarnation"] = incarnations_.current().value();
  out["server"] = options_.server_index;
  out["servers"] = spec_.parameter_servers.replicas;
  out["state"] = StateWord();
  out["reason"] = ending_.reason();
  out["message"] = ending_.message();
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
  if (initialised()) FillProgress(out);
  out["workers"] = WorkersJson();
  out["transport"] = GroupJson();
  out["warnings"] = json::array();
  for (const CheckpointKeeper::Warning& warning : checkpoints_.warnings()) {
    out["warnings"].push_back({{"reason", warning.reason}, {"message", warning.message}});
  }
  if (!incarnations_.run().empty() && incarnations_.run() != options_.uid) {
    out["resumedFrom"] = {{"uid", incarnations_.run()}, {"epoch", incarnations_.cut()}};
  }
  out["outputs"] = ending_.outputs();
  out["events"] = events_.ToJson();
  return out;
}

}  // namespace elephas
