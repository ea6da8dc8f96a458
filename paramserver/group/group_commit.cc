#include "paramserver/group/group_commit.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace elephas {

Result<GroupCommit> GroupCommit::Begin(const JobPlan& plan, const Ledger& ledger,
                                       const GroupCommitHeader& header) {
  GroupCommit commit;
  commit.ledger_ = &ledger;
  commit.generation_ = header.generation;
  commit.base_ = header.base;
  commit.target_ = header.target;
  const std::int64_t rounds = header.target.value() - header.base.value();
  const Epoch epoch(ledger.TrainedEpochs());
  if (epoch.value() >= plan.TrainTasks()) return Invalid("commit: everything is trained");
  const bool by_batch = plan.frequency == Frequency::kBatch;
  if (!by_batch && rounds != 1) {
    return Invalid("commit: a round is a whole task, so a commit covers one, not " +
                   std::to_string(rounds));
  }
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  std::int64_t most = 0;
  for (std::int64_t p = 0; p < plan.partitions; ++p) {
    Step step;
    step.task = {WorkKind::kTrain, epoch, Partition(p)};
    const std::int64_t batches = plan.Batches(step.task);
    step.batches = {ledger.Next(step.task), batches};
    if (step.batches.size() > 0) first = std::min(first, step.batches.first);
    most = std::max(most, batches);
    commit.steps_.push_back(std::move(step));
  }
  if (by_batch && rounds > most - first) {
    return Invalid("commit: " + std::to_string(most - first) +
                   " rounds are left of the epoch, not " + std::to_string(rounds));
  }
  for (Step& step : commit.steps_) {
    if (by_batch) step.batches.last = std::min(step.batches.last, first + rounds);
    if (step.batches.size() > 0) ++commit.missing_;
  }
  return commit;
}

Status GroupCommit::AddSteps(const std::string& worker, const std::vector<GroupStep>& steps) {
  for (const GroupStep& given : steps) {
    const std::int64_t p = given.partition.value();
    if (p >= static_cast<std::int64_t>(steps_.size())) {
      return Invalid("commit: there is no partition " + std::to_string(p));
    }
    const Step& expected = steps_[static_cast<std::size_t>(p)];
    if (expected.batches.size() <= 0 || given.batches != expected.batches) {
      return Invalid("commit: of " + ToString(expected.task) + " it covers batches " +
                     std::to_string(expected.batches.first) + " to " +
                     std::to_string(expected.batches.last) + ", not " +
                     std::to_string(given.batches.first) + " to " +
                     std::to_string(given.batches.last));
    }
    ELEPHAS_RETURN_IF_ERROR(
        ledger_->Validate(expected.task, given.batches, given.examples, given.metrics));
  }
  for (const GroupStep& given : steps) {
    Step& step = steps_[static_cast<std::size_t>(given.partition.value())];
    if (step.given) continue;
    step.given = true;
    step.worker = worker;
    step.examples = given.examples;
    step.metrics = given.metrics;
    --missing_;
  }
  return OkStatus();
}

void GroupCommit::SetModel(Model model) {
  if (model_.parameters == nullptr) model_ = std::move(model);
}

}  // namespace elephas
