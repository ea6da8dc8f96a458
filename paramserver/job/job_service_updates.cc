// Pulls and updates: the ledger decides, the parameters follow.
#include <algorithm>
#include <utility>

#include "paramserver/job/job_service_impl.h"

namespace elephas {

using std::chrono::milliseconds;

Result<Snapshot> JobServiceImpl::Pull(Incarnation incarnation, Version minimum, bool with_slots,
                                      milliseconds wait) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  // In synchronous batch mode slots change in place while a round is committed.
  Lock apply_lock(apply_mutex_, std::defer_lock);
  if (with_slots) apply_lock.lock();
  Lock lock(mutex_);
  for (;;) {
    ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
    ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
    if (store_->version() >= minimum) break;
    if (!coordinates() && round_complete_) {
      // Server 0 has all contributions of the round, else nobody would ask for the next version.
      lock.unlock();
      if (!apply_lock.owns_lock()) apply_lock.lock();
      // Another pull may have been faster; without a complete round there is nothing to commit.
      const Status committed = round_ && round_->complete() ? CommitRound() : OkStatus();
      if (!with_slots) apply_lock.unlock();
      ELEPHAS_RETURN_IF_ERROR(committed);
      lock.lock();
      continue;
    }
    // Waiting with apply_mutex_ would keep the awaited update out.
    if (apply_lock.owns_lock() || std::chrono::steady_clock::now() >= deadline) {
      return Timeout("version " + std::to_string(minimum.value()) + " is not there yet");
    }
    changed_.wait_until(lock, deadline);
  }
  Snapshot snapshot;
  snapshot.version = store_->version();
  snapshot.incarnation = incarnation_;
  snapshot.iterations = store_->iterations();
  if (with_slots) snapshot.slots = store_->slots();
  if (plan_->mode != Mode::kHogwild) {
    snapshot.parameters = store_->parameters();
    return snapshot;
  }
  const std::shared_ptr<FloatBuffer> shared = store_->shared_parameters();
  lock.unlock();
  ELEPHAS_ASSIGN_OR_RETURN(
      std::shared_ptr<FloatBuffer> copy,
      AcquireBuffer(static_cast<std::int64_t>(std::as_const(*shared).floats().size())));
  CopyShared(shared->floats(), copy->floats());
  snapshot.parameters = std::move(copy);
  return snapshot;
}

Result<Snapshot> JobServiceImpl::PullEpoch(Incarnation incarnation, std::int64_t epoch,
                                           bool with_slots) {
  const std::lock_guard lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
  const auto kept = kept_.find(epoch);
  if (kept == kept_.end()) {
    return NotFound("the model of epoch " + std::to_string(epoch) + " is not kept");
  }
  Snapshot snapshot;
  snapshot.version = store_->version();
  snapshot.incarnation = incarnation_;
  snapshot.iterations = kept->second.iterations;
  snapshot.parameters = kept->second.parameters;
  if (with_slots) snapshot.slots = kept->second.slots;
  return snapshot;
}

Result<UpdateOutcome> JobServiceImpl::Judge(const UpdateHeader& header) const {
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(header.incarnation));
  ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
  if (header.task.kind != WorkKind::kTrain || !plan_->Contains(header.task)) {
    return Invalid("the job has no updates for " + ToString(header.task));
  }
  if (header.batches.size() <= 0 || header.batches.last > plan_->Batches(header.task)) {
    return Invalid(ToString(header.task) + " has batches 0 to " +
                   std::to_string(plan_->Batches(header.task)));
  }
  switch (ledger_->Check(header.task, header.batches)) {
    case Ledger::Verdict::kDuplicate:
      return UpdateOutcome::kDuplicate;
    case Ledger::Verdict::kConflict:
      return Conflict("the next batch of " + ToString(header.task) + " is " +
                      std::to_string(ledger_->Next(header.task)));
    case Ledger::Verdict::kApply:
      break;
  }
  ELEPHAS_RETURN_IF_ERROR(
      ledger_->Validate(header.task, header.batches, header.examples, header.metrics));
  if (!plan_->synchronous()) {
    if (header.task.epoch.value() > ledger_->OpenEpoch().value() + 1) {
      return Conflict(ToString(header.task) + " is not open yet");
    }
    return UpdateOutcome::kApplied;
  }
  if (group_.owns_rounds()) {
    return Conflict("generation " + std::to_string(group_.generation().value()) +
                    " of the group trains this round");
  }
  const std::int64_t trained = ledger_->TrainedEpochs();
  const std::int64_t base = store_->version().value() + (round_complete_ ? 1 : 0);
  if (header.base.value() != base || header.task.epoch.value() != trained) {
    return Conflict("round " + std::to_string(base) + " is open, this update is for version " +
                    std::to_string(header.base.value()));
  }
  // One contribution per partition and round: batch r, or the whole task.
  const std::int64_t whole = plan_->Batches(header.task);
  if (header.batches.size() != (plan_->frequency == Frequency::kBatch ? 1 : whole)) {
    return Invalid("a contribution covers " + std::string(plan_->frequency == Frequency::kBatch
                                                              ? "one batch"
                                                              : "the whole task"));
  }
  if (plan_->frequency == Frequency::kBatch) {
    // Every partition that has a batch r contributes before any contributes batch r + 1.
    for (std::int64_t p = 0; p < plan_->partitions; ++p) {
      const TaskId other{WorkKind::kTrain, header.task.epoch, Partition(p)};
      if (!ledger_->Done(other) && ledger_->Next(other) < header.batches.first) {
        return Conflict("the round of batch " + std::to_string(ledger_->Next(other)) + " is open");
      }
    }
  }
  return UpdateOutcome::kApplied;
}

Result<UpdateOutcome> JobServiceImpl::AdmitUpdate(const UpdateHeader& header) const {
  const std::lock_guard lock(mutex_);
  return Judge(header);
}

Result<UpdateReply> JobServiceImpl::ApplyUpdate(const UpdateHeader& header,
                                                std::shared_ptr<FloatBuffer> delta,
                                                std::vector<std::shared_ptr<FloatBuffer>> slots) {
  bool hogwild = false;
  {
    const std::lock_guard lock(mutex_);
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
    if (outcome == UpdateOutcome::kDuplicate) {
      coordinator_.Renew(header.lease, clock_.Now());
      DropFinishedLease(header.lease);
      return UpdateReply{outcome, store_->version()};
    }
    hogwild = plan_->mode == Mode::kHogwild;
    const auto expected = static_cast<std::size_t>(store_->range().size());
    if (std::as_const(*delta).floats().size() != expected) {
      return Invalid("'delta' must have " + std::to_string(expected) + " elements");
    }
    const bool averages_slots = plan_->synchronous() && plan_->frequency != Frequency::kBatch;
    if (slots.size() != (averages_slots ? layout_->slot_names.size() : 0)) {
      return Invalid("'slots' must have " +
                     std::to_string(averages_slots ? layout_->slot_names.size() : 0) + " rows");
    }
    for (const auto& slot : slots) {
      if (std::as_const(*slot).floats().size() != static_cast<std::size_t>(store_->trainable())) {
        return Invalid("each of 'slots' must have " + std::to_string(store_->trainable()) +
                       " elements");
      }
    }
  }
  if (spec_.fit.on_nan == OnNan::kFail && !AllFinite(std::as_const(*delta).floats())) {
    return Invalid("'delta' holds a NaN or an infinity");
  }
  if (hogwild) return ApplyHogwild(header, std::as_const(*delta).floats());
  const std::lock_guard apply_lock(apply_mutex_);
  if (spec_.mode == Mode::kSynchronous) {
    return ApplyRoundContribution(header, {std::move(delta), std::move(slots), header.steps});
  }
  return ApplyDelta(header, std::as_const(*delta).floats());
}

Result<UpdateReply> JobServiceImpl::ApplyDelta(const UpdateHeader& header,
                                               std::span<const float> delta) {
  {
    const std::lock_guard lock(mutex_);
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
    if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store_->version()};
  }
  // Only holders of apply_mutex_ change store and ledger of a train task, so the verdict stands.
  ParameterStore::Next next = store_->Subtract(delta);
  if (!next.parameters) return Unavailable("out of memory for the next parameters");
  const std::lock_guard lock(mutex_);
  store_->Publish(std::move(next));
  AfterUpdate(header);
  return UpdateReply{UpdateOutcome::kApplied, store_->version()};
}

Result<UpdateReply> JobServiceImpl::ApplyHogwild(const UpdateHeader& header,
                                                 std::span<const float> delta) {
  std::shared_ptr<FloatBuffer> shared;
  {
    Lock lock(mutex_);
    // A second push of the same task waits for the first, then finds it recorded.
    changed_.wait(
        lock, [&] { return stopping_ || (quiet_cut_ == 0 && !in_flight_.contains(header.task)); });
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
    if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store_->version()};
    in_flight_.insert(header.task);
    shared = store_->shared_parameters();
  }
  SubtractInPlace(shared->floats(), delta);
  const std::lock_guard lock(mutex_);
  // A restore in between has put other parameters in place: then this one went nowhere. Without
  // one it has been added and is recorded, whatever else has changed.
  if (incarnation_ != header.incarnation) {
    return Conflict("incarnation " + std::to_string(header.incarnation.value()) +
                    " is over: join again");
  }
  in_flight_.erase(header.task);
  store_->CountUpdate();
  AfterUpdate(header);
  CopyHogwildCheckpointWhenQuiet();
  return UpdateReply{UpdateOutcome::kApplied, store_->version()};
}

Result<UpdateReply> JobServiceImpl::ApplyRoundContribution(const UpdateHeader& header,
                                                           Round::Contribution mine) {
  {
    // A push for the next version says, as a pull does, that the round is complete everywhere.
    Lock lock(mutex_);
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
    if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store_->version()};
    if (round_complete_) {
      lock.unlock();
      ELEPHAS_RETURN_IF_ERROR(CommitRound());
    }
  }
  // All contributions of a round were leased after the same decisions; server 0 has them itself.
  round_decisions_ = header.decisions;
  // Added before it is recorded: complete() then never runs ahead of the sum. Nobody sees the sum
  // before the commit, and a crash takes both.
  round_->Add(header.task.partition.value(), std::move(mine));
  bool commit = false;
  {
    const std::lock_guard lock(mutex_);
    round_complete_ = round_->complete();
    commit = coordinates() && round_complete_;
    ++contributions_;
    AfterUpdate(header);
  }
  if (commit) ELEPHAS_RETURN_IF_ERROR(CommitRound());
  const std::lock_guard lock(mutex_);
  return UpdateReply{UpdateOutcome::kApplied, store_->version()};
}

}  // namespace elephas
