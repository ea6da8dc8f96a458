#include "paramserver/ledger/job_plan.h"

namespace elephas {

Result<JobPlan> JobPlan::Make(const JobSpec& spec, std::int64_t examples) {
  JobPlan plan;
  plan.task = spec.task;
  plan.mode = spec.mode;
  plan.frequency = spec.frequency;
  plan.epochs = spec.task == TaskKind::kTrain ? spec.fit.epochs : 0;
  plan.partitions = spec.data.partitions;
  plan.batch_size = spec.fit.batch_size;
  plan.servers = spec.parameter_servers.replicas;
  plan.examples = examples;
  if (spec.task == TaskKind::kTrain) {
    plan.callbacks = spec.fit.has_callbacks();
    plan.training_rows = TrainingExamples(examples, spec.fit.validation_split);
    plan.validation_rows = examples - plan.training_rows;
    if (plan.training_rows == 0) {
      return Invalid("spec.fit.validationSplit leaves none of the " + std::to_string(examples) +
                     " examples to train on");
    }
  }
  return plan;
}

bool JobPlan::Contains(const TaskId& id) const {
  const bool partition_exists = id.partition.value() >= 0 && id.partition.value() < partitions;
  switch (id.kind) {
    case WorkKind::kTrain:
      return task == TaskKind::kTrain && partition_exists && id.epoch.value() >= 0 &&
             id.epoch.value() < TrainTasks();
    case WorkKind::kValidate:
      return validates() && partition_exists && id.epoch.value() >= 0 &&
             id.epoch.value() < TrainTasks();
    case WorkKind::kEvaluate:
      return task == TaskKind::kEvaluate && partition_exists && id.epoch == Epoch(0);
    case WorkKind::kPredict:
      return task == TaskKind::kPredict && partition_exists && id.epoch == Epoch(0);
    case WorkKind::kFinalize:
      return id.partition == Partition(0) && id.epoch == Epoch(0);
  }
  return false;
}

Range JobPlan::Rows(const TaskId& id) const {
  switch (id.kind) {
    case WorkKind::kTrain:
      return PartitionRows(training_rows, partitions, id.partition.value());
    case WorkKind::kValidate: {
      const Range rows = PartitionRows(validation_rows, partitions, id.partition.value());
      return {training_rows + rows.first, training_rows + rows.last};
    }
    case WorkKind::kEvaluate:
    case WorkKind::kPredict:
      return PartitionRows(examples, partitions, id.partition.value());
    case WorkKind::kFinalize:
      break;
  }
  return {};
}

std::int64_t JobPlan::Batches(const TaskId& id) const {
  const std::int64_t once = BatchCount(Rows(id).size(), batch_size);
  return id.kind == WorkKind::kTrain ? once * EpochsPerTask() : once;
}

std::int64_t JobPlan::Examples(const TaskId& id, const Range& batches) const {
  const std::int64_t rows = Rows(id).size();
  const std::int64_t once = BatchCount(rows, batch_size);
  if (once == 0) return 0;
  // Examples in the first `count` batches, counted through all epochs of the task.
  const auto examples_before = [&](std::int64_t count) {
    return count / once * rows + BatchRows(rows, batch_size, count % once).first;
  };
  return examples_before(batches.last) - examples_before(batches.first);
}

nlohmann::json JobPlan::ToJson() const {
  return {{"mode", Word(mode)},
          {"frequency", Word(frequency)},
          {"partitions", partitions},
          {"batchSize", batch_size},
          {"servers", servers},
          {"examples", examples},
          {"trainingRows", training_rows},
          {"epochsPerTask", EpochsPerTask()}};
}

Status JobPlan::CheckContinues(const nlohmann::json& before) const {
  const nlohmann::json now = ToJson();
  for (const auto& [name, value] : now.items()) {
    if (!before.contains(name) || before[name] != value) {
      return Invalid("the checkpoint was made with " + name + " " +
                     (before.contains(name) ? before[name].dump() : "missing") + ", the job has " +
                     value.dump());
    }
  }
  return OkStatus();
}

}  // namespace elephas
