#include "paramserver/ledger/ledger.h"

#include <algorithm>
#include <utility>

#include "common/json/reader.h"

namespace elephas {

namespace {

using nlohmann::json;

}  // namespace

Ledger::Ledger(const JobPlan& plan) : plan_(plan) {
  if (plan_.task != TaskKind::kTrain) once_.resize(static_cast<std::size_t>(plan_.partitions));
}

bool Ledger::Closed(const TaskId& task) const {
  const bool has_epoch = task.kind == WorkKind::kTrain || task.kind == WorkKind::kValidate;
  return has_epoch && task.epoch.value() < closed_tasks_;
}

const Ledger::Progress* Ledger::Find(const TaskId& task) const {
  const auto partition = static_cast<std::size_t>(task.partition.value());
  if (task.kind == WorkKind::kEvaluate || task.kind == WorkKind::kPredict) return &once_[partition];
  const auto it = open_.find(task.epoch.value());
  if (it == open_.end()) return nullptr;
  const auto& list = task.kind == WorkKind::kTrain ? it->second.training : it->second.validation;
  return &list[partition];
}

Ledger::Progress& Ledger::At(const TaskId& task) {
  const auto partition = static_cast<std::size_t>(task.partition.value());
  if (task.kind == WorkKind::kEvaluate || task.kind == WorkKind::kPredict) return once_[partition];
  EpochRecord& record = open_[task.epoch.value()];
  const auto count = static_cast<std::size_t>(plan_.partitions);
  record.training.resize(count);
  record.validation.resize(count);
  return task.kind == WorkKind::kTrain ? record.training[partition] : record.validation[partition];
}

std::int64_t Ledger::Next(const TaskId& task) const {
  if (task.kind == WorkKind::kFinalize) return finalized_ ? 1 : 0;
  if (Closed(task)) return plan_.Batches(task);
  const Progress* progress = Find(task);
  return progress == nullptr ? 0 : progress->next;
}

bool Ledger::Done(const TaskId& task) const {
  if (task.kind == WorkKind::kFinalize) return finalized_;
  return Next(task) == plan_.Batches(task);
}

Ledger::Verdict Ledger::Check(const TaskId& task, const Range& batches) const {
  const std::int64_t total = task.kind == WorkKind::kFinalize ? 1 : plan_.Batches(task);
  if (batches.size() <= 0 || batches.first < 0 || batches.last > total) return Verdict::kConflict;
  const std::int64_t next = Next(task);
  if (batches.last <= next) return Verdict::kDuplicate;
  return batches.first == next ? Verdict::kApply : Verdict::kConflict;
}

Status Ledger::Validate(const TaskId& task, const Range& batches, std::int64_t examples,
                        const std::vector<MetricSums>& metrics) const {
  if (task.kind == WorkKind::kFinalize) return OkStatus();
  const auto epochs =
      static_cast<std::size_t>(task.kind == WorkKind::kTrain ? plan_.EpochsPerTask() : 1);
  if (metrics.size() != epochs) {
    return Invalid("metrics must have " + std::to_string(epochs) + " entries, not " +
                   std::to_string(metrics.size()));
  }
  const std::int64_t held = plan_.Examples(task, batches);
  if (examples != held) {
    return Invalid("'examples' is " + std::to_string(examples) + ", but batches " +
                   std::to_string(batches.first) + " to " + std::to_string(batches.last) + " of " +
                   ToString(task) + " hold " + std::to_string(held));
  }
  const Progress* progress = Find(task);
  if (progress == nullptr || progress->metrics.empty()) return OkStatus();
  for (std::size_t i = 0; i < epochs; ++i) {
    MetricSums sums = progress->metrics[i];
    const Status added = AddMetrics(sums, metrics[i]);
    if (!added.ok()) return Invalid(added.message());
  }
  return OkStatus();
}

void Ledger::Record(const TaskId& task, const Range& batches, std::int64_t examples,
                    const std::vector<MetricSums>& metrics) {
  if (task.kind == WorkKind::kFinalize) {
    finalized_ = true;
    return;
  }
  Progress& progress = At(task);
  progress.metrics.resize(metrics.size());
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    (void)AddMetrics(progress.metrics[i], metrics[i]);  // Validate() has checked it
  }
  progress.next = batches.last;
  progress.examples += examples;
  if (task.kind != WorkKind::kValidate) examples_applied_ += examples;
}

bool Ledger::AllPartitionsDone(WorkKind kind, Epoch epoch) const {
  for (std::int64_t p = 0; p < plan_.partitions; ++p) {
    if (!Done({kind, epoch, Partition(p)})) return false;
  }
  return true;
}

std::int64_t Ledger::TrainedEpochs() const {
  std::int64_t epoch = closed_tasks_;
  while (epoch < plan_.TrainTasks() && AllPartitionsDone(WorkKind::kTrain, Epoch(epoch))) ++epoch;
  return epoch;
}

std::int64_t Ledger::ClosedEpochs() const { return static_cast<std::int64_t>(history_.size()); }

bool Ledger::AllDone() const {
  if (plan_.task == TaskKind::kTrain) return closed_tasks_ == plan_.TrainTasks();
  const WorkKind kind =
      plan_.task == TaskKind::kEvaluate ? WorkKind::kEvaluate : WorkKind::kPredict;
  return AllPartitionsDone(kind, Epoch(0));
}

EpochSummary Ledger::Running(Epoch epoch) const {
  EpochSummary summary;
  const auto it = open_.find(epoch.value());
  if (it == open_.end()) return summary;
  for (const Progress& progress : it->second.training) {
    summary.examples += progress.examples;
    for (const MetricSums& sums : progress.metrics) {
      // Record() has checked that the shapes agree within a task; across tasks one that does not
      // is only left out of this running view.
      (void)AddMetrics(summary.training, sums);
    }
  }
  return summary;
}

std::int64_t Ledger::CloseEpochs(double seconds) {
  std::int64_t closed = 0;
  while (closed_tasks_ < plan_.TrainTasks()) {
    const Epoch epoch(closed_tasks_);
    if (!AllPartitionsDone(WorkKind::kTrain, epoch)) break;
    if (plan_.validates() && !AllPartitionsDone(WorkKind::kValidate, epoch)) break;
    const EpochRecord record = std::move(open_[closed_tasks_]);
    open_.erase(closed_tasks_);
    ++closed_tasks_;

    const std::int64_t span = plan_.EpochsPerTask();
    for (std::int64_t i = 0; i < span; ++i) {
      EpochSummary summary;
      summary.seconds = closed == 0 ? seconds / static_cast<double>(span) : 0.0;
      // In partition order, so that the sums do not depend on who finished first.
      for (const Progress& progress : record.training) {
        summary.examples += progress.examples / span;
        if (static_cast<std::size_t>(i) < progress.metrics.size()) {
          (void)AddMetrics(summary.training, progress.metrics[static_cast<std::size_t>(i)]);
        }
      }
      if (i + 1 == span) {
        for (const Progress& progress : record.validation) {
          if (!progress.metrics.empty()) (void)AddMetrics(summary.validation, progress.metrics[0]);
        }
      }
      history_.push_back(std::move(summary));
    }
    ++closed;
  }
  return closed;
}

Result<MetricSums> Ledger::Totals() const {
  MetricSums totals;
  for (const Progress& progress : once_) {
    for (const MetricSums& sums : progress.metrics) {
      ELEPHAS_RETURN_IF_ERROR(AddMetrics(totals, sums));
    }
  }
  return totals;
}

json Ledger::ProgressToJson(const std::vector<Progress>& list) {
  json out = json::array();
  for (const Progress& progress : list) {
    json metrics = json::array();
    for (const MetricSums& sums : progress.metrics) metrics.push_back(elephas::ToJson(sums));
    out.push_back({{"next", progress.next},
                   {"examples", progress.examples},
                   {"metrics", std::move(metrics)}});
  }
  return out;
}

// Whether finalize is done is left out: a server that starts again has the outputs written again,
// which replaces them with equal ones.
json Ledger::ToJson() const {
  json out;
  out["closedTasks"] = closed_tasks_;
  out["examplesApplied"] = examples_applied_;
  out["once"] = ProgressToJson(once_);
  out["open"] = json::array();
  for (const auto& [epoch, record] : open_) {
    out["open"].push_back({{"epoch", epoch},
                           {"training", ProgressToJson(record.training)},
                           {"validation", ProgressToJson(record.validation)}});
  }
  out["history"] = json::array();
  for (const EpochSummary& summary : history_) {
    out["history"].push_back({{"examples", summary.examples},
                              {"seconds", summary.seconds},
                              {"training", elephas::ToJson(summary.training)},
                              {"validation", elephas::ToJson(summary.validation)}});
  }
  return out;
}

Result<std::vector<Ledger::Progress>> Ledger::ProgressFromJson(const json& input, WorkKind kind,
                                                               std::int64_t epoch) const {
  std::vector<Progress> list;
  if (!input.is_array()) return Invalid("ledger: progress must be an array");
  for (const json& entry : input) {
    JsonReader reader(entry, "ledger progress");
    const TaskId task{kind, Epoch(epoch), Partition(static_cast<std::int64_t>(list.size()))};
    if (!plan_.Contains(task) && kind != WorkKind::kValidate) {
      return Invalid("ledger: " + ToString(task) + " is not part of the job");
    }
    Progress progress;
    const std::int64_t total = plan_.Contains(task) ? plan_.Batches(task) : 0;
    progress.next = reader.Int("next", 0, total);
    progress.examples = reader.Int("examples", 0, kMaxCount);
    const json& metrics = reader.Any("metrics");
    ELEPHAS_RETURN_IF_ERROR(reader.Finish());
    if (!metrics.is_array()) return Invalid("ledger: metrics must be an array");
    for (const json& sums : metrics) {
      ELEPHAS_ASSIGN_OR_RETURN(MetricSums parsed, MetricSumsFromJson(sums));
      progress.metrics.push_back(std::move(parsed));
    }
    list.push_back(std::move(progress));
  }
  return list;
}

Result<Ledger> Ledger::FromJson(const JobPlan& plan, const json& input) {
  Ledger ledger(plan);
  JsonReader reader(input, "ledger");
  ledger.closed_tasks_ = reader.Int("closedTasks", 0, plan.TrainTasks());
  ledger.examples_applied_ = reader.Int("examplesApplied", 0, kMaxCount);
  const json& once = reader.Any("once");
  const json& open = reader.Any("open");
  const json& history = reader.Any("history");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());

  const WorkKind kind = plan.task == TaskKind::kPredict ? WorkKind::kPredict : WorkKind::kEvaluate;
  ELEPHAS_ASSIGN_OR_RETURN(ledger.once_, ledger.ProgressFromJson(once, kind, 0));
  if (ledger.once_.size() != (plan.task == TaskKind::kTrain
                                  ? std::size_t{0}
                                  : static_cast<std::size_t>(plan.partitions))) {
    return Invalid("ledger: wrong number of partitions");
  }
  if (!open.is_array() || !history.is_array()) {
    return Invalid("ledger: 'open' and 'history' must be arrays");
  }
  for (const json& entry : open) {
    JsonReader epoch_reader(entry, "ledger epoch");
    const std::int64_t epoch = epoch_reader.Int("epoch", ledger.closed_tasks_,
                                                std::max<std::int64_t>(plan.TrainTasks() - 1, 0));
    const json& training = epoch_reader.Any("training");
    const json& validation = epoch_reader.Any("validation");
    ELEPHAS_RETURN_IF_ERROR(epoch_reader.Finish());
    EpochRecord record;
    ELEPHAS_ASSIGN_OR_RETURN(record.training,
                             ledger.ProgressFromJson(training, WorkKind::kTrain, epoch));
    ELEPHAS_ASSIGN_OR_RETURN(record.validation,
                             ledger.ProgressFromJson(validation, WorkKind::kValidate, epoch));
    const auto count = static_cast<std::size_t>(plan.partitions);
    if (record.training.size() != count || record.validation.size() != count) {
      return Invalid("ledger: wrong number of partitions");
    }
    ledger.open_[epoch] = std::move(record);
  }
  for (const json& entry : history) {
    JsonReader summary_reader(entry, "ledger history");
    EpochSummary summary;
    summary.examples = summary_reader.Int("examples", 0, kMaxCount);
    summary.seconds = summary_reader.Number("seconds");
    const json& training = summary_reader.Any("training");
    const json& validation = summary_reader.Any("validation");
    ELEPHAS_RETURN_IF_ERROR(summary_reader.Finish());
    ELEPHAS_ASSIGN_OR_RETURN(summary.training, MetricSumsFromJson(training));
    ELEPHAS_ASSIGN_OR_RETURN(summary.validation, MetricSumsFromJson(validation));
    ledger.history_.push_back(std::move(summary));
  }
  if (static_cast<std::int64_t>(ledger.history_.size()) !=
      ledger.closed_tasks_ * plan.EpochsPerTask()) {
    return Invalid("ledger: the history does not have one entry per closed epoch");
  }
  return ledger;
}

}  // namespace elephas
