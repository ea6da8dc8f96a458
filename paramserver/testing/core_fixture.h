// Builders for the tests of the pure core.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "paramserver/ledger/job_plan.h"
#include "paramserver/ledger/ledger.h"
#include "paramserver/store/buffer_pool.h"

namespace elephas {

// A train job of 10 examples in 3 partitions (4, 3, 3 rows), batches of 2, 2 epochs, unless said
// otherwise: each partition has 2 batches.
class MakePlan {
 public:
  MakePlan() {
    plan_.partitions = 3;
    plan_.batch_size = 2;
    plan_.epochs = 2;
    plan_.examples = 10;
    plan_.training_rows = 10;
  }
  MakePlan& Task(TaskKind task) { return Set(plan_.task, task); }
  MakePlan& In(Mode mode) { return Set(plan_.mode, mode); }
  MakePlan& Every(Frequency frequency) { return Set(plan_.frequency, frequency); }
  MakePlan& Epochs(std::int64_t epochs) { return Set(plan_.epochs, epochs); }
  MakePlan& Partitions(std::int64_t partitions) { return Set(plan_.partitions, partitions); }
  MakePlan& BatchSize(std::int64_t batch_size) { return Set(plan_.batch_size, batch_size); }
  MakePlan& Servers(std::int64_t servers) { return Set(plan_.servers, servers); }
  MakePlan& Rows(std::int64_t training, std::int64_t validation = 0) {
    plan_.training_rows = training;
    plan_.validation_rows = validation;
    return Set(plan_.examples, training + validation);
  }
  operator JobPlan() const { return plan_; }  // NOLINT(google-explicit-constructor): a builder

 private:
  template <typename T>
  MakePlan& Set(T& field, T value) {
    field = value;
    return *this;
  }
  JobPlan plan_;
};

inline TaskId Train(std::int64_t epoch, std::int64_t partition) {
  return {WorkKind::kTrain, Epoch(epoch), Partition(partition)};
}
inline TaskId Validate(std::int64_t epoch, std::int64_t partition) {
  return {WorkKind::kValidate, Epoch(epoch), Partition(partition)};
}
inline TaskId Finalize() { return {WorkKind::kFinalize, Epoch(0), Partition(0)}; }

// The sums that `examples` examples with a loss of 1 each give, for every epoch of a task.
inline std::vector<MetricSums> Losses(std::int64_t examples, std::size_t epochs = 1) {
  const auto count = static_cast<double>(examples) / static_cast<double>(epochs);
  return std::vector<MetricSums>(epochs, {{"loss", {"mean", {count, count}}}});
}

// Applies batches [first, last) of a task, as a caller that got kApply would.
inline void Apply(Ledger& ledger, const JobPlan& plan, const TaskId& task, Range batches) {
  const std::int64_t examples = plan.Examples(task, batches);
  ledger.Record(task, batches, examples,
                Losses(examples, static_cast<std::size_t>(
                                     task.kind == WorkKind::kTrain ? plan.EpochsPerTask() : 1)));
}
inline void ApplyAll(Ledger& ledger, const JobPlan& plan, const TaskId& task) {
  Apply(ledger, plan, task, {ledger.Next(task), plan.Batches(task)});
}

inline std::shared_ptr<FloatBuffer> Floats(BufferPool& pool, const std::vector<float>& values) {
  auto buffer = pool.Acquire(static_cast<std::int64_t>(values.size()));
  std::ranges::copy(values, buffer->floats().begin());
  return buffer;
}
inline std::vector<float> Values(const FloatBuffer& buffer) {
  return {buffer.floats().begin(), buffer.floats().end()};
}

}  // namespace elephas
