// What people see of a job.
#include <algorithm>

#include "paramserver/history.h"
#include "paramserver/job_service_impl.h"

namespace elephas {

using nlohmann::json;

json JobServiceImpl::HistoryJson() const {
  const std::lock_guard lock(mutex_);
  return ledger_ ? HistoryLists(ledger_->history()) : json::object();
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
  const bool initialised = store_ && store_->initialised();
  out["state"] = failed_                          ? "Failed"
                 : finalized()                    ? "Succeeded"
                 : !ReadyLocked() || !initialised ? "Initializing"
                 : ledger_->AllDone()             ? "Finalizing"
                                                  : "Running";
  out["reason"] = failure_reason_;
  out["message"] = failure_message_;
  out["version"] = initialised ? store_->version().value() : 0;
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
  if (initialised) {
    const std::int64_t per_epoch =
        plan_->task == TaskKind::kTrain ? plan_->training_rows : plan_->examples;
    const std::int64_t total = per_epoch * std::max<std::int64_t>(plan_->epochs, 1);
    const std::int64_t applied = ledger_->ExamplesApplied();
    const EpochSummary running = ledger_->Running(ledger_->OpenEpoch());
    out["epoch"] = ledger_->ClosedEpochs();
    out["examples"] = plan_->task == TaskKind::kTrain ? running.examples : applied;
    out["examplesPerEpoch"] = per_epoch;
    out["progress"] = static_cast<double>(applied) / static_cast<double>(total);
    const double rate = throughput_.ExamplesPerSecond();
    if (rate > 0) out["secondsRemaining"] = static_cast<double>(total - applied) / rate;
    out["metrics"] = MetricValues(running.training);
    out["history"] = HistoryLists(ledger_->history());
    if (plan_->task == TaskKind::kEvaluate) {
      const Result<MetricSums> totals = ledger_->Totals();
      out["metrics"] = totals.ok() ? MetricValues(*totals) : json::object();
      if (ledger_->AllDone()) out["result"] = {{"metrics", out["metrics"]}};
    }
  }
  out["workers"] = json::array();
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
    out["workers"].push_back(std::move(entry));
  }
  out["outputs"] = outputs_;
  out["events"] = events_.ToJson();
  return out;
}

}  // namespace elephas
