// Pulls and updates: the ledger decides, the parameters follow.
#include <algorithm>
#include <utility>

#include "paramserver/job/job_service_impl.h"
#include "paramserver/job/long_poll.h"

namespace elephas {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::optional<Result<JobServiceImpl::Pulled>> JobServiceImpl::TryPull(Incarnation incarnation,
                                                                      Version minimum,
                                                                      bool with_slots) {
  if (Status valid = CheckTraining(incarnation); !valid.ok()) return valid;
  const ParameterStore& store = training_->store;
  Pulled pulled;
  if (store.version() < minimum) {
    // Server 0 has all contributions of the round, else nobody would ask for the next version.
    pulled.commit_first = !coordinates() && training_->round_complete;
    if (!pulled.commit_first) return std::nullopt;
    return pulled;
  }
  pulled.snapshot.version = store.version();
  pulled.snapshot.incarnation = incarnations_.current();
  pulled.snapshot.iterations = store.iterations();
  if (with_slots) pulled.snapshot.slots = store.slots();
  if (training_->plan.mode == Mode::kHogwild) {
    pulled.shared = store.shared_parameters();
  } else {
    pulled.snapshot.parameters = store.parameters();
  }
  return pulled;
}

Result<JobServiceImpl::Pulled> JobServiceImpl::AwaitPull(Incarnation incarnation, Version minimum,
                                                         steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(std::max(deadline - steady_clock::now(), {}));
  const MutexLock lock(mutex_);
  const std::optional<Result<Pulled>> pulled = LongPoll(
      mutex_, changed_, clock_, left,
      [&] {
        mutex_.AssertHeld();
        return TryPull(incarnation, minimum, /*with_slots=*/false);
      },
      [] { return std::optional<Clock::TimePoint>(); });
  if (pulled) return *pulled;
  return Timeout("version " + std::to_string(minimum.value()) + " is not there yet");
}

// In synchronous batch mode slots change in place while a round is committed. Waiting with
// apply_mutex_ would keep the awaited update out, so this does not wait.
Result<JobServiceImpl::Pulled> JobServiceImpl::PullWithSlots(Incarnation incarnation,
                                                             Version minimum) {
  const MutexLock apply_lock(apply_mutex_);
  for (;;) {
    {
      const MutexLock lock(mutex_);
      std::optional<Result<Pulled>> pulled = TryPull(incarnation, minimum, /*with_slots=*/true);
      if (!pulled) {
        return Timeout("version " + std::to_string(minimum.value()) + " is not there yet");
      }
      if (!pulled->ok() || !(*pulled)->commit_first) return *std::move(pulled);
    }
    ELEPHAS_RETURN_IF_ERROR(CommitRound(*CurrentTraining()));
  }
}

Result<Snapshot> JobServiceImpl::Pull(Incarnation incarnation, Version minimum, bool with_slots,
                                      milliseconds wait) {
  const auto deadline = steady_clock::now() + wait;
  Result<Pulled> pulled = Pulled{};
  for (;;) {
    pulled = with_slots ? PullWithSlots(incarnation, minimum)
                        : AwaitPull(incarnation, minimum, deadline);
    if (!pulled.ok()) return pulled.status();
    if (!pulled->commit_first) break;
    const MutexLock apply_lock(apply_mutex_);
    // Another pull may have been faster; without a complete round there is nothing to commit.
    if (!round_.complete()) continue;
    ELEPHAS_RETURN_IF_ERROR(CommitRound(*CurrentTraining()));
  }
  Snapshot& snapshot = pulled->snapshot;
  if (pulled->shared == nullptr) return std::move(snapshot);
  const std::span<float> shared = pulled->shared->floats();
  ELEPHAS_ASSIGN_OR_RETURN(const std::shared_ptr<FloatBuffer> copy,
                           AcquireBuffer(static_cast<std::int64_t>(shared.size())));
  CopyShared(shared, copy->floats());
  snapshot.parameters = copy;
  return std::move(snapshot);
}

Result<Snapshot> JobServiceImpl::PullEpoch(Incarnation incarnation, std::int64_t epoch,
                                           bool with_slots) {
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckTraining(incarnation));
  const auto kept = training_->kept.find(epoch);
  if (kept == training_->kept.end()) {
    return NotFound("the model of epoch " + std::to_string(epoch) + " is not kept");
  }
  Snapshot snapshot;
  snapshot.version = training_->store.version();
  snapshot.incarnation = incarnations_.current();
  snapshot.iterations = kept->second.iterations;
  snapshot.parameters = kept->second.parameters;
  if (with_slots) snapshot.slots = kept->second.slots;
  return snapshot;
}

Result<UpdateOutcome> JobServiceImpl::Judge(const UpdateHeader& header) const {
  ELEPHAS_RETURN_IF_ERROR(CheckTraining(header.incarnation));
  return training_->Judge(header, group_.RoundsOf());
}

Result<UpdateOutcome> JobServiceImpl::AdmitUpdate(const UpdateHeader& header) const {
  const MutexLock lock(mutex_);
  return Judge(header);
}

Result<UpdateOutcome> JobServiceImpl::Admit(const UpdateHeader& header, const FloatBuffer& delta,
                                            const std::vector<std::shared_ptr<FloatBuffer>>& slots,
                                            bool finite) {
  ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
  if (outcome == UpdateOutcome::kDuplicate) {
    coordinator_.Renew(header.lease, clock_.Now());
    DropFinishedLease(header.lease);
    return outcome;
  }
  ELEPHAS_RETURN_IF_ERROR(training_->CheckSizes(delta, slots));
  if (!finite) return Invalid("'delta' holds a NaN or an infinity");
  return outcome;
}

Result<UpdateReply> JobServiceImpl::ApplyUpdate(const UpdateHeader& header,
                                                std::shared_ptr<FloatBuffer> delta,
                                                std::vector<std::shared_ptr<FloatBuffer>> slots) {
  // Looked at before any lock is taken: it reads all of the update.
  const bool finite = spec_.fit.on_nan != OnNan::kFail || AllFinite(std::as_const(*delta).floats());
  if (spec_.mode == Mode::kHogwild) return ApplyHogwild(header, *delta, slots, finite);
  const MutexLock apply_lock(apply_mutex_);
  if (spec_.mode == Mode::kSynchronous) {
    return ApplyContribution(header, {std::move(delta), std::move(slots), header.steps}, finite);
  }
  return ApplyDelta(header, *delta, slots, finite);
}

Result<UpdateReply> JobServiceImpl::ApplyDelta(
    const UpdateHeader& header, const FloatBuffer& delta,
    const std::vector<std::shared_ptr<FloatBuffer>>& slots, bool finite) {
  const ParameterStore* store = nullptr;
  {
    const MutexLock lock(mutex_);
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Admit(header, delta, slots, finite));
    store = &training_->store;
    if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store->version()};
  }
  // Only holders of apply_mutex_ change store and ledger of a train task, so the verdict stands.
  ParameterStore::Next next = store->Subtract(delta.floats());
  if (!next.parameters) return Unavailable("out of memory for the next parameters");
  const MutexLock lock(mutex_);
  training_->store.Publish(std::move(next));
  AfterUpdate(header);
  return UpdateReply{UpdateOutcome::kApplied, training_->store.version()};
}

Result<UpdateReply> JobServiceImpl::ApplyHogwild(
    const UpdateHeader& header, const FloatBuffer& delta,
    const std::vector<std::shared_ptr<FloatBuffer>>& slots, bool finite) {
  std::shared_ptr<FloatBuffer> shared;  // lives on when a restore replaces the training
  {
    const MutexLock lock(mutex_);
    // A second push of the same task waits for the first, then finds it recorded.
    while (!stopping_ && training_ &&
           (training_->quiet_cut != 0 || training_->in_flight.contains(header.task))) {
      changed_.Wait(mutex_);
    }
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Admit(header, delta, slots, finite));
    if (outcome == UpdateOutcome::kDuplicate) {
      return UpdateReply{outcome, training_->store.version()};
    }
    training_->in_flight.insert(header.task);
    shared = training_->store.shared_parameters();
  }
  SubtractInPlace(shared->floats(), delta.floats());
  const MutexLock lock(mutex_);
  // A restore in between has put other parameters in place: then this one went nowhere. Without
  // one it has been added and is recorded, whatever else has changed.
  if (incarnations_.current() != header.incarnation) {
    return Conflict("incarnation " + std::to_string(header.incarnation.value()) +
                    " is over: join again");
  }
  training_->in_flight.erase(header.task);
  training_->store.CountUpdate();
  AfterUpdate(header);
  CopyHogwildCheckpointWhenQuiet();
  return UpdateReply{UpdateOutcome::kApplied, training_->store.version()};
}

Result<UpdateReply> JobServiceImpl::ApplyContribution(const UpdateHeader& header,
                                                      Round::Contribution mine, bool finite) {
  Training* training = nullptr;
  bool commit = false;
  {
    const MutexLock lock(mutex_);
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome,
                             Admit(header, *mine.delta, mine.slots, finite));
    training = &*training_;
    if (outcome == UpdateOutcome::kDuplicate) {
      return UpdateReply{outcome, training->store.version()};
    }
    commit = training->round_complete;
  }
  // A push for the next version says, as a pull does, that the round is complete everywhere.
  if (commit) ELEPHAS_RETURN_IF_ERROR(CommitRound(*training));
  // Added before it is recorded: complete() then never runs ahead of the sum. Nobody sees the sum
  // before the commit, and a crash takes both.
  round_.Add(header.task.partition, std::move(mine), header.decisions);
  UpdateReply reply;
  {
    const MutexLock lock(mutex_);
    training->round_complete = round_.complete();
    commit = coordinates() && training->round_complete;
    ++training->contributions;
    AfterUpdate(header);
    reply.version = training->store.version();
  }
  if (!commit) return reply;
  ELEPHAS_RETURN_IF_ERROR(CommitRound(*training));
  const MutexLock lock(mutex_);
  reply.version = training->store.version();
  return reply;
}

}  // namespace elephas
