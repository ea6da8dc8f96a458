// Training in a group: who is in it, and the commits by which its rounds reach the ledger.
#include <algorithm>
#include <utility>

#include "paramserver/job/job_service_impl.h"

namespace elephas {

using nlohmann::json;
using std::chrono::milliseconds;

void JobServiceImpl::TellGroupNews() {
  for (Group::News& news : group_.TakeNews()) {
    events_.Add(news.reason, news.message);
    changed_.notify_all();
  }
  // A commit of a generation that is over will never be whole.
  if (commit_ && (!group_.owns_rounds() || commit_->generation() != group_.generation())) {
    commit_.reset();
  }
}

bool JobServiceImpl::TrainingIsOpen() const {
  if (!plan_ || !ledger_ || plan_->task != TaskKind::kTrain || !plan_->synchronous()) return false;
  const std::vector<OpenTask> open = OpenTasks(*plan_, *ledger_);
  return !open.empty() && open.front().task.kind == WorkKind::kTrain;
}

// Nobody works on the open round or has contributed to it by rest.
bool JobServiceImpl::RoundEmpty() const {
  if (contributions_ > 0 || round_complete_) return false;
  return std::ranges::none_of(coordinator_.leases(), [&](const auto& entry) {
    const Coordinator::Held& held = entry.second;
    return held.task.kind == WorkKind::kTrain && ledger_->Next(held.task) < held.batches.last;
  });
}

void JobServiceImpl::TickGroup() {
  const bool may_form = TrainingIsOpen() && store_ && store_->initialised() && RoundEmpty();
  group_.Tick(clock_.Now(), may_form);
  TellGroupNews();
}

Group::Route JobServiceImpl::TrainRoute(const std::string& worker) const {
  if (!TrainingIsOpen()) return Group::Route::kLease;
  // What was begun by rest is finished by rest.
  if (!group_.owns_rounds() && !RoundEmpty()) return Group::Route::kLease;
  return group_.RouteFor(worker);
}

Status JobServiceImpl::OfferCollective(const std::string& worker, const std::string& collective,
                                       const std::string& why_none) {
  const std::lock_guard lock(mutex_);
  if (!coordinator_.workers().contains(worker)) {
    return NotFound("worker '" + worker + "' has not joined");
  }
  group_.Offer(worker, collective, why_none, clock_.Now());
  TickGroup();
  changed_.notify_all();
  return OkStatus();
}

void JobServiceImpl::FillPlace(const GroupQuestion& question, GroupPlace& place) const {
  place.version = store_->version();
  place.epoch = Epoch(ledger_->TrainedEpochs());
  place.current = question.holds != Generation(0) && question.version == store_->version() &&
                  last_group_commit_ == Committed{question.holds, question.version};
  for (const OpenTask& open : OpenTasks(*plan_, *ledger_)) {
    if (open.task.kind == WorkKind::kTrain) place.batch = open.batches.first;
  }
}

Result<GroupPlace> JobServiceImpl::EnterGroup(const GroupQuestion& question, milliseconds wait) {
  Lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    GroupPlace place;
    // The lease that it asks for next says how the job ended.
    if (failed_ || finalized()) {
      place.state = GroupPlace::State::kRest;
      return place;
    }
    ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(question.incarnation));
    ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
    ELEPHAS_RETURN_IF_ERROR(coordinator_.Heartbeat(question.worker, clock_.Now()));
    group_.Seen(question.worker, clock_.Now());
    TickGroup();
    const bool uncommitted = group_.owns_rounds() && question.holds == group_.generation() &&
                             question.version > store_->version();
    // Otherwise the lease that it asks for next is the way: another kind of task, or a round that
    // was begun by rest.
    const bool open = TrainingIsOpen() && (group_.owns_rounds() || RoundEmpty());
    if (!uncommitted) {
      if (open) {
        const Group::State before = group_.state();
        ELEPHAS_ASSIGN_OR_RETURN(place,
                                 group_.Enter(question.worker, question.holds, clock_.Now()));
        TickGroup();
        // It was the last one that the others waited for.
        if (group_.state() != before) changed_.notify_all();
        if (group_.state() != before && place.state == GroupPlace::State::kWait) continue;
      }
      FillPlace(question, place);
      if (place.state != GroupPlace::State::kWait || !open) return place;
    }
    auto until = deadline;
    if (const auto next = group_.NextDeadline()) {
      until = std::min(
          until, std::chrono::steady_clock::now() +
                     std::max<Clock::TimePoint::duration>(*next - clock_.Now(), milliseconds(1)));
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      FillPlace(question, place);
      return place;
    }
    changed_.wait_until(lock, until);
  }
}

Status JobServiceImpl::SetGroupId(const std::string& worker, Incarnation incarnation,
                                  Generation generation, const std::string& id) {
  const std::lock_guard lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  ELEPHAS_RETURN_IF_ERROR(group_.SetId(worker, generation, id, clock_.Now()));
  changed_.notify_all();
  return OkStatus();
}

Status JobServiceImpl::AbortGroup(const std::string& worker, Incarnation incarnation,
                                  Generation generation, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  group_.Abort(worker, generation, reason, clock_.Now());
  TellGroupNews();
  return OkStatus();
}

Result<bool> JobServiceImpl::AwaitGroupEnd(Incarnation incarnation, Generation generation,
                                           milliseconds wait) {
  Lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
    if (plan_) TickGroup();
    if (!group_.owns_rounds() || group_.generation() != generation) return true;
    auto until = deadline;
    if (const auto next = group_.NextDeadline()) {
      until = std::min(
          until, std::chrono::steady_clock::now() +
                     std::max<Clock::TimePoint::duration>(*next - clock_.Now(), milliseconds(1)));
    }
    if (std::chrono::steady_clock::now() >= deadline) return false;
    changed_.wait_until(lock, until);
  }
}

// ---------------------------------------------------------------- commits

// kDuplicate: this commit is applied.
Result<UpdateOutcome> JobServiceImpl::JudgeCommit(const GroupCommitHeader& header) const {
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(header.incarnation));
  ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
  if (last_group_commit_ == Committed{header.generation, header.target}) {
    return UpdateOutcome::kDuplicate;
  }
  ELEPHAS_RETURN_IF_ERROR(group_.CheckTraining(header.worker, header.generation));
  if (header.base != store_->version()) {
    return Conflict("the server holds version " + std::to_string(store_->version().value()) +
                    ", this commit follows " + std::to_string(header.base.value()));
  }
  if (contributions_ > 0) return Conflict("the open round has contributions by rest");
  return UpdateOutcome::kApplied;
}

Status JobServiceImpl::OpenCommit(const GroupCommitHeader& header) {
  if (commit_ && commit_->Covers(header)) return OkStatus();
  if (commit_ && commit_->generation() == header.generation) {
    return Conflict("another commit is open: version " + std::to_string(commit_->target().value()));
  }
  ELEPHAS_ASSIGN_OR_RETURN(GroupCommit commit, GroupCommit::Begin(*plan_, *ledger_, header));
  commit_ = std::move(commit);
  return OkStatus();
}

Result<GroupStepsReply> JobServiceImpl::StageGroupSteps(const GroupSteps& steps) {
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  const Result<UpdateOutcome> outcome = JudgeCommit(steps.header);
  if (!outcome.ok() && contributions_ > 0) {
    group_.Abort(steps.header.worker, steps.header.generation, outcome.status().message(),
                 clock_.Now());
    TellGroupNews();
  }
  ELEPHAS_RETURN_IF_ERROR(outcome.status());
  group_.Seen(steps.header.worker, clock_.Now());
  if (*outcome == UpdateOutcome::kDuplicate) {
    return GroupStepsReply{UpdateOutcome::kDuplicate, last_commit_rounds_};
  }
  ELEPHAS_RETURN_IF_ERROR(OpenCommit(steps.header));
  ELEPHAS_RETURN_IF_ERROR(commit_->AddSteps(steps.header.worker, steps.steps));
  GroupStepsReply reply;
  reply.rounds = group_.RoundsAfter(steps.header.target, clock_.Now());
  CommitGroupWhenComplete();
  return reply;
}

Result<UpdateOutcome> JobServiceImpl::AdmitGroupModel(const GroupCommitHeader& header) const {
  const std::lock_guard lock(mutex_);
  return JudgeCommit(header);
}

Result<UpdateReply> JobServiceImpl::StageGroupModel(
    const GroupCommitHeader& header, std::int64_t iterations,
    std::shared_ptr<FloatBuffer> parameters, std::vector<std::shared_ptr<FloatBuffer>> slots) {
  const bool finite = AllFinite(std::as_const(*parameters).floats());
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, JudgeCommit(header));
  if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store_->version()};
  const auto size = [](const std::shared_ptr<FloatBuffer>& buffer) {
    return static_cast<std::int64_t>(std::as_const(*buffer).floats().size());
  };
  if (size(parameters) != store_->range().size()) {
    return Invalid("'parameters' must have " + std::to_string(store_->range().size()) +
                   " elements");
  }
  if (slots.size() != layout_->slot_names.size() ||
      std::ranges::any_of(slots, [&](const auto& s) { return size(s) != store_->trainable(); })) {
    return Invalid("'slots' must have " + std::to_string(layout_->slot_names.size()) + " rows of " +
                   std::to_string(store_->trainable()) + " elements");
  }
  if (spec_.fit.on_nan == OnNan::kFail && !finite) {
    return Invalid("'parameters' holds a NaN or an infinity");
  }
  if (iterations < store_->iterations()) return Invalid("'iterations' must not go back");
  ELEPHAS_RETURN_IF_ERROR(OpenCommit(header));
  commit_->SetModel({std::move(parameters), std::move(slots), iterations});
  group_.Seen(header.worker, clock_.Now());
  CommitGroupWhenComplete();
  return UpdateReply{UpdateOutcome::kApplied, store_->version()};
}

// Parameters, slots, version and ledger change together: nobody sees one without the others.
void JobServiceImpl::CommitGroupWhenComplete() {
  if (!commit_ || !commit_->complete()) return;
  GroupCommit commit = *std::exchange(commit_, std::nullopt);
  GroupCommit::Model& model = commit.model();
  counters_.rounds +=
      static_cast<std::uint64_t>(commit.target().value() - store_->version().value());
  store_->Set(std::move(model.parameters), std::move(model.slots), commit.target(),
              model.iterations);
  for (const GroupCommit::Step& step : commit.steps()) {
    if (step.batches.size() <= 0) continue;
    ledger_->Record(step.task, step.batches, step.examples, step.metrics);
    coordinator_.CountExamples(step.worker, step.examples);
    counters_.examples[step.task.kind] += static_cast<std::uint64_t>(step.examples);
  }
  last_group_commit_ = {commit.generation(), commit.target()};
  last_commit_rounds_ = group_.RoundsAfter(commit.target(), clock_.Now());
  throughput_.Add(clock_.Now(), ledger_->ExamplesApplied());
  OpenRound();
  CloseEpochsAndCheckpoint();
  group_.Committed(commit.target(), clock_.Now());
  TellGroupNews();
  changed_.notify_all();
}

// What `transport` in the status says: by which way training is exchanged now, and why.
json JobServiceImpl::GroupJson() const {
  const bool trains = group_.state() == Group::State::kTraining;
  return {{"now", trains ? group_.collective() : "rest"},
          {"state", Word(group_.state())},
          {"reason", group_.reason()},
          {"generation", group_.generation().value()},
          {"members", group_.members()}};
}

}  // namespace elephas
