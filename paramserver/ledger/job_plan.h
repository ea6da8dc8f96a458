// The numbers of a job that never change once the dataset's size is known: which tasks exist, which
// rows they cover and how many batches they have. Pure arithmetic.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/protocol/partitioning.h"
#include "common/protocol/protocol.h"

namespace elephas {

struct JobPlan {
  TaskKind task = TaskKind::kTrain;
  Mode mode = Mode::kAsynchronous;
  Frequency frequency = Frequency::kEpoch;
  std::int64_t epochs = 1;
  std::int64_t partitions = 1;
  std::int64_t batch_size = 32;
  std::int64_t servers = 1;
  std::int64_t examples = 0;         // rows in the dataset
  std::int64_t training_rows = 0;    // [0, training_rows) train
  std::int64_t validation_rows = 0;  // the rest validates
  bool callbacks = false;            // decide at each epoch's end whether and how it goes on

  // kInvalid when nothing is left to train on.
  static Result<JobPlan> Make(const JobSpec& spec, std::int64_t examples);

  [[nodiscard]] bool synchronous() const { return mode == Mode::kSynchronous; }
  [[nodiscard]] bool validates() const { return validation_rows > 0; }
  // Tasks of the next epoch may start while the last ones of this epoch run. Not with several
  // servers: at an epoch's end all of them then hold exactly the same updates, which makes their
  // checkpoints one common cut.
  [[nodiscard]] bool epochs_overlap() const {
    return !synchronous() && !validates() && !callbacks && servers == 1;
  }
  // Epochs that one train task spans: all of them for frequency `fit`.
  [[nodiscard]] std::int64_t EpochsPerTask() const {
    return task == TaskKind::kTrain && frequency == Frequency::kFit ? epochs : 1;
  }
  // Train tasks of one partition, one after another.
  [[nodiscard]] std::int64_t TrainTasks() const { return epochs / EpochsPerTask(); }

  // False for a task that this job does not have.
  [[nodiscard]] bool Contains(const TaskId& id) const;
  // Dataset rows of a task; empty for finalize. Precondition: Contains(id).
  [[nodiscard]] Range Rows(const TaskId& id) const;
  // Batches of a task, all its epochs counted. 0: nothing to do.
  [[nodiscard]] std::int64_t Batches(const TaskId& id) const;
  // Examples in a task's batches [first, last).
  [[nodiscard]] std::int64_t Examples(const TaskId& id, const Range& batches) const;

  // What a checkpoint and the job that continues from it must agree on. More epochs may be asked
  // for.
  [[nodiscard]] nlohmann::json ToJson() const;
  // kInvalid names the first difference from `before`, which ToJson() gave.
  [[nodiscard]] Status CheckContinues(const nlohmann::json& before) const;
};

}  // namespace elephas
