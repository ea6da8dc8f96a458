// Leases, and tasks that end without an update.
#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "paramserver/job/job_service_impl.h"

namespace elephas {

using std::chrono::milliseconds;

void JobServiceImpl::DropFinishedLease(LeaseId lease) {
  if (coordinator_.Progressed(lease, *ledger_)) ++counters_.leases_finished;
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

Result<LeaseReply> JobServiceImpl::AcquireLease(const std::string& worker, Incarnation incarnation,
                                                milliseconds wait, bool prefetch) {
  Lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    if (failed_ || finalized()) told_.insert(worker);
    if (failed_) {
      return LeaseReply{LeaseReply::State::kFailed, std::nullopt,
                        failure_reason_ + ": " + failure_message_};
    }
    // Whatever incarnation the worker was in: there is nothing left to do.
    if (finalized()) return LeaseReply{LeaseReply::State::kSucceeded, std::nullopt, ""};
    ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
    ELEPHAS_RETURN_IF_ERROR(coordinator_.Heartbeat(worker, clock_.Now()));
    group_.Seen(worker, clock_.Now());
    ExpireLeases();
    // Only one process may write the outputs: not one that was succeeded and does not know it yet.
    if (folder_ && ledger_ && ledger_->AllDone()) {
      const Status fence = folder_->CheckFence(folder_->claimed());
      if (!fence.ok()) {
        SetFenced(fence.message());
        return Unavailable(fence.message());
      }
    }
    // Between a round's last contribution and its commit the next version is not there yet.
    if (store_ && store_->initialised() && !round_complete_) {
      TickGroup();
      const Group::Route route = TrainRoute(worker);
      if (route == Group::Route::kEnter) return LeaseReply{LeaseReply::State::kGroup, {}, ""};
      std::optional<Lease> lease;
      if (route == Group::Route::kLease) {
        lease = coordinator_.Acquire(worker, clock_.Now(), prefetch, *plan_, *ledger_);
      }
      if (lease) {
        ++counters_.leases_granted;
        lease->incarnation = incarnation_;
        const bool exact = plan_->synchronous() || lease->task.kind != WorkKind::kTrain;
        if (exact) lease->version = store_->version();
        if (callbacks_) lease->decisions = callbacks_->decisions();
        return LeaseReply{LeaseReply::State::kLeased, lease, ""};
      }
    }
    // Until something changes, a lease may have expired, or the caller's patience is over.
    auto until = deadline;
    if (const auto expiry = coordinator_.NextExpiry()) {
      const auto now = clock_.Now();
      until =
          std::min(until, std::chrono::steady_clock::now() +
                              std::max<Clock::TimePoint::duration>(*expiry - now, milliseconds(1)));
    }
    if (const auto news = group_.NextDeadline()) {
      until = std::min(
          until, std::chrono::steady_clock::now() +
                     std::max<Clock::TimePoint::duration>(*news - clock_.Now(), milliseconds(1)));
    }
    if (std::chrono::steady_clock::now() >= deadline) return LeaseReply{};
    changed_.wait_until(lock, until);
  }
}

Result<UpdateOutcome> JobServiceImpl::FinishTask(LeaseId lease, Incarnation incarnation,
                                                 const TaskId& task, std::int64_t examples,
                                                 const MetricSums& metrics,
                                                 const std::vector<std::string>& outputs) {
  const std::lock_guard lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0: finish tasks there");
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
  if (task.kind == WorkKind::kTrain) return Invalid("a train task is finished by its updates");
  if (!plan_->Contains(task)) return Invalid("the job has no " + ToString(task));
  if (ledger_->Done(task)) {
    DropFinishedLease(lease);
    return UpdateOutcome::kDuplicate;
  }
  if (task.kind == WorkKind::kFinalize && !ledger_->AllDone()) {
    return Conflict("finalize comes after all other tasks");
  }
  if (task.kind == WorkKind::kValidate && task.epoch.value() != ledger_->TrainedEpochs() - 1) {
    return Conflict("this epoch is not trained yet");
  }
  const Range all{0, task.kind == WorkKind::kFinalize ? 1 : plan_->Batches(task)};
  ELEPHAS_RETURN_IF_ERROR(ledger_->Validate(task, all, examples, {metrics}));
  ledger_->Record(task, all, examples, {metrics});
  if (const Coordinator::Held* held = coordinator_.Find(lease)) {
    coordinator_.CountExamples(held->worker, examples);
  }
  coordinator_.Renew(lease, clock_.Now());
  DropFinishedLease(lease);
  counters_.examples[task.kind] += static_cast<std::uint64_t>(examples);
  throughput_.Add(clock_.Now(), ledger_->ExamplesApplied());
  if (task.kind == WorkKind::kFinalize) {
    outputs_ = outputs;
    LogInfo("job succeeded");
    events_.Add("Succeeded", "the outputs are written");
  }
  CloseEpochsAndCheckpoint();
  changed_.notify_all();
  return UpdateOutcome::kApplied;
}

JobService::EndState JobServiceImpl::End() const {
  const std::lock_guard lock(mutex_);
  EndState end;
  end.over = failed_ || finalized();
  end.told = end.over && std::ranges::all_of(coordinator_.workers(), [&](const auto& entry) {
               return !entry.second.live || told_.contains(entry.first);
             });
  return end;
}

}  // namespace elephas
