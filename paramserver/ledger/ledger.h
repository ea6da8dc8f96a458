// Which batches of which task have been applied, and what they added to the metrics.
//
// For every open task the ledger holds `next`: batches [0, next) are applied. An update for
// [first, last) is applied when first == next, answered as a duplicate when last <= next, and
// refused otherwise. The caller makes Record() one atomic step with the change of the parameters.
//
// Pure: no clock, no lock. The caller synchronises.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/protocol.h"
#include "paramserver/ledger/job_plan.h"

namespace elephas {

// One closed epoch, as history.json shows it.
struct EpochSummary {
  std::int64_t examples = 0;
  double seconds = 0;
  MetricSums training;
  MetricSums validation;  // empty when the epoch was not validated
};

class Ledger {
 public:
  explicit Ledger(const JobPlan& plan);

  enum class Verdict : std::uint8_t { kApply, kDuplicate, kConflict };
  // Precondition: plan.Contains(task).
  [[nodiscard]] Verdict Check(const TaskId& task, const Range& batches) const;
  // First batch that is not applied; the task's number of batches when it is done.
  [[nodiscard]] std::int64_t Next(const TaskId& task) const;
  [[nodiscard]] bool Done(const TaskId& task) const;

  // kInvalid when Record() could not take these: not one entry per epoch that the task spans, a
  // metric that changed its shape, or `examples` that is not what the batches hold.
  [[nodiscard]] Status Validate(const TaskId& task, const Range& batches, std::int64_t examples,
                                const std::vector<MetricSums>& metrics) const;
  // Precondition: Check(task, batches) == kApply and Validate() is ok.
  void Record(const TaskId& task, const Range& batches, std::int64_t examples,
              const std::vector<MetricSums>& metrics);

  // Train tasks (epochs; 1 for frequency `fit`) whose every partition is done, from the first on.
  [[nodiscard]] std::int64_t TrainedEpochs() const;
  // Epochs trained, validated and put into the history.
  [[nodiscard]] std::int64_t ClosedEpochs() const;
  // The epoch that tasks are leased from; equals plan.TrainTasks() when all are closed.
  [[nodiscard]] Epoch OpenEpoch() const { return Epoch(closed_tasks_); }
  // True when every task but finalize is done.
  [[nodiscard]] bool AllDone() const;
  // No more epochs than the closed ones: the job stops early. Precondition: no later one has begun.
  void StopHere() { plan_.epochs = closed_tasks_; }
  // Moves finished epochs into the history; `seconds` is what the first of them took. Returns how
  // many.
  std::int64_t CloseEpochs(double seconds);

  [[nodiscard]] const std::vector<EpochSummary>& history() const { return history_; }
  // Applied examples and metric sums of an epoch that is still open.
  [[nodiscard]] EpochSummary Running(Epoch epoch) const;
  // Examples applied in all epochs, the open ones included (a measure of progress).
  [[nodiscard]] std::int64_t ExamplesApplied() const { return examples_applied_; }
  // Evaluate: the sums over all partitions, in partition order.
  [[nodiscard]] Result<MetricSums> Totals() const;

  [[nodiscard]] nlohmann::json ToJson() const;
  static Result<Ledger> FromJson(const JobPlan& plan, const nlohmann::json& input);

 private:
  struct Progress {
    std::int64_t next = 0;
    std::int64_t examples = 0;
    std::vector<MetricSums> metrics;  // one per epoch of the task
  };
  struct EpochRecord {
    std::vector<Progress> training, validation;  // by partition
  };
  [[nodiscard]] const Progress* Find(const TaskId& task) const;
  [[nodiscard]] bool Closed(const TaskId& task) const;
  [[nodiscard]] bool AllPartitionsDone(WorkKind kind, Epoch epoch) const;
  Progress& At(const TaskId& task);
  static nlohmann::json ProgressToJson(const std::vector<Progress>& list);
  Result<std::vector<Progress>> ProgressFromJson(const nlohmann::json& input, WorkKind kind,
                                                 std::int64_t epoch) const;

  JobPlan plan_;
  std::map<std::int64_t, EpochRecord> open_;  // by epoch; at most two
  std::vector<Progress> once_;                // evaluate or predict, by partition
  bool finalized_ = false;
  std::int64_t closed_tasks_ = 0;
  std::int64_t examples_applied_ = 0;
  std::vector<EpochSummary> history_;
};

}  // namespace elephas
