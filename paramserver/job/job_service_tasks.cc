// Leases, and tasks that end without an update.
#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "paramserver/job/job_service_impl.h"
#include "paramserver/job/long_poll.h"

namespace elephas {

using std::chrono::milliseconds;

void JobServiceImpl::DropFinishedLease(LeaseId lease) {
  if (coordinator_.Progressed(lease, training_->ledger)) ++counters_.leases_finished;
}

void JobServiceImpl::ExpireLeases() {
  for (const Coordinator::Lost& lost : coordinator_.Expire(clock_.Now())) {
    ++counters_.leases_expired;
    LogWarning("lease expired", {{"worker", lost.held.worker},
                                 {"task", Word(lost.held.task.kind)},
                                 {"epoch", lost.held.task.epoch.value()},
                                 {"partition", lost.held.task.partition.value()}});
    events_.Add("LeaseExpired", "the lease of " + lost.held.worker + " on " +
                                    ToString(lost.held.task) + " expired; another worker goes on");
  }
}

std::optional<Result<LeaseReply>> JobServiceImpl::TryLease(const std::string& worker,
                                                           Incarnation incarnation, bool prefetch) {
  using State = LeaseReply::State;
  if (ending_.failed() || finalized()) ending_.Told(worker);
  if (ending_.failed()) {
    return LeaseReply{State::kFailed, std::nullopt, ending_.reason() + ": " + ending_.message()};
  }
  // Whatever incarnation the worker was in: there is nothing left to do.
  if (finalized()) return LeaseReply{State::kSucceeded, std::nullopt, ""};
  if (Status valid = CheckIncarnation(incarnation); !valid.ok()) return valid;
  if (Status known = coordinator_.Heartbeat(worker, clock_.Now()); !known.ok()) return known;
  group_.group().Seen(worker, clock_.Now());
  ExpireLeases();
  // Only one process may write the outputs: not one that was succeeded and does not know it yet.
  if (training_ && training_->ledger.AllDone()) {
    const Status fence = checkpoints_.CheckFence();
    if (!fence.ok()) return Unavailable(fence.message());
  }
  // Between a round's last contribution and its commit the next version is not there yet.
  if (!initialised() || training_->round_complete) return std::nullopt;
  TickGroup();
  const Group::Route route = TrainRoute(worker);
  if (route == Group::Route::kEnter) return LeaseReply{State::kGroup, {}, ""};
  if (route == Group::Route::kNothing) return std::nullopt;
  const JobPlan& plan = training_->plan;
  std::optional<Lease> lease =
      coordinator_.Acquire(worker, clock_.Now(), prefetch, plan, training_->ledger);
  if (!lease) return std::nullopt;
  ++counters_.leases_granted;
  lease->incarnation = incarnations_.current();
  const bool exact = plan.synchronous() || lease->task.kind != WorkKind::kTrain;
  if (exact) lease->version = training_->store.version();
  if (training_->callbacks) lease->decisions = training_->callbacks->decisions();
  return LeaseReply{State::kLeased, lease, ""};
}

// When a lease may have expired, or the group's patience is over.
std::optional<Clock::TimePoint> JobServiceImpl::NextNews() const {
  const auto expiry = coordinator_.NextExpiry();
  const auto group = group_.group().NextDeadline();
  if (!expiry || !group) return expiry ? expiry : group;
  return std::min(*expiry, *group);
}

Result<LeaseReply> JobServiceImpl::AcquireLease(const std::string& worker, Incarnation incarnation,
                                                milliseconds wait, bool prefetch) {
  const MutexLock lock(mutex_);
  const std::optional<Result<LeaseReply>> reply = LongPoll(
      mutex_, changed_, clock_, wait,
      [&] {
        mutex_.AssertHeld();
        return TryLease(worker, incarnation, prefetch);
      },
      [&] {
        mutex_.AssertHeld();
        return NextNews();
      });
  return reply ? *reply : LeaseReply{};
}

Result<UpdateOutcome> JobServiceImpl::FinishTask(LeaseId lease, Incarnation incarnation,
                                                 const TaskId& task, std::int64_t examples,
                                                 const MetricSums& metrics,
                                                 const std::vector<std::string>& outputs) {
  const MutexLock lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0: finish tasks there");
  ELEPHAS_RETURN_IF_ERROR(CheckTraining(incarnation));
  const JobPlan& plan = training_->plan;
  Ledger& ledger = training_->ledger;
  if (task.kind == WorkKind::kTrain) return Invalid("a train task is finished by its updates");
  if (!plan.Contains(task)) return Invalid("the job has no " + ToString(task));
  if (ledger.Done(task)) {
    DropFinishedLease(lease);
    return UpdateOutcome::kDuplicate;
  }
  if (task.kind == WorkKind::kFinalize && !ledger.AllDone()) {
    return Conflict("finalize comes after all other tasks");
  }
  if (task.kind == WorkKind::kValidate && task.epoch.value() != ledger.TrainedEpochs() - 1) {
    return Conflict("this epoch is not trained yet");
  }
  const Range all{0, task.kind == WorkKind::kFinalize ? 1 : plan.Batches(task)};
  ELEPHAS_RETURN_IF_ERROR(ledger.Validate(task, all, examples, {metrics}));
  ledger.Record(task, all, examples, {metrics});
  if (const Coordinator::Held* held = coordinator_.Find(lease)) {
    coordinator_.CountExamples(held->worker, examples);
  }
  coordinator_.Renew(lease, clock_.Now());
  DropFinishedLease(lease);
  counters_.examples[task.kind] += static_cast<std::uint64_t>(examples);
  throughput_.Add(clock_.Now(), ledger.ExamplesApplied());
  if (task.kind == WorkKind::kFinalize) {
    ending_.SetOutputs(outputs);
    LogInfo("job succeeded");
    events_.Add("Succeeded", "the outputs are written");
  }
  CloseEpochsAndCheckpoint();
  changed_.NotifyAll();
  return UpdateOutcome::kApplied;
}

WatchService::EndState JobServiceImpl::End() const {
  const MutexLock lock(mutex_);
  EndState end;
  end.over = ending_.failed() || finalized();
  if (!end.over) return end;
  end.told = std::ranges::all_of(coordinator_.workers(), [&](const auto& entry) {
    mutex_.AssertHeld();
    return !entry.second.live || ending_.Knows(entry.first);
  });
  return end;
}

}  // namespace elephas
