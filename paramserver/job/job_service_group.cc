// Training in a group: who is in it, and the commits by which its rounds reach the ledger.
#include <algorithm>
#include <utility>

#include "paramserver/job/job_service_impl.h"
#include "paramserver/job/long_poll.h"

namespace elephas {

using nlohmann::json;
using std::chrono::milliseconds;

void JobServiceImpl::TellGroupNews() {
  for (const Group::News& news : group_.TakeNews()) {
    events_.Add(news.reason, news.message);
    changed_.NotifyAll();
  }
}

bool JobServiceImpl::RoundsAreOpen() const { return training_ && training_->RoundsAreOpen(); }

// Nobody works on the open round or has contributed to it by rest.
bool JobServiceImpl::RoundEmpty() const {
  if (!training_) return true;
  if (training_->contributions > 0 || training_->round_complete) return false;
  const Ledger& ledger = training_->ledger;
  return std::ranges::none_of(coordinator_.leases(), [&](const auto& entry) {
    const Coordinator::Held& held = entry.second;
    return held.task.kind == WorkKind::kTrain && ledger.Next(held.task) < held.batches.last;
  });
}

void JobServiceImpl::TickGroup() {
  const bool may_form = RoundsAreOpen() && initialised() && RoundEmpty();
  group_.group().Tick(clock_.Now(), may_form);
  TellGroupNews();
}

Group::Route JobServiceImpl::TrainRoute(const std::string& worker) const {
  if (!RoundsAreOpen()) return Group::Route::kLease;
  // What was begun by rest is finished by rest.
  if (!group_.group().owns_rounds() && !RoundEmpty()) return Group::Route::kLease;
  return group_.group().RouteFor(worker);
}

Status JobServiceImpl::OfferCollective(const std::string& worker, const std::string& collective,
                                       const std::string& why_none) {
  const MutexLock lock(mutex_);
  if (!coordinator_.workers().contains(worker)) {
    return NotFound("worker '" + worker + "' has not joined");
  }
  group_.group().Offer(worker, collective, why_none, clock_.Now());
  TickGroup();
  changed_.NotifyAll();
  return OkStatus();
}

void JobServiceImpl::FillPlace(const GroupQuestion& question, GroupPlace& place) const {
  const Version version = training_->store.version();
  place.version = version;
  place.epoch = Epoch(training_->ledger.TrainedEpochs());
  place.current = question.holds != Generation(0) && question.version == version &&
                  group_.Last(question.holds, question.version);
  for (const OpenTask& open : OpenTasks(training_->plan, training_->ledger)) {
    if (open.task.kind == WorkKind::kTrain) place.batch = open.batches.first;
  }
}

// `place`: what a question whose time is over is answered with.
std::optional<Result<GroupPlace>> JobServiceImpl::TryEnter(const GroupQuestion& question,
                                                           GroupPlace& place) {
  Group& group = group_.group();
  for (;;) {
    place = {};
    // The lease that it asks for next says how the job ended.
    if (ending_.failed() || finalized()) {
      place.state = GroupPlace::State::kRest;
      return place;
    }
    if (Status valid = CheckTraining(question.incarnation); !valid.ok()) return valid;
    Status known = coordinator_.Heartbeat(question.worker, clock_.Now());
    if (!known.ok()) return known;
    group.Seen(question.worker, clock_.Now());
    TickGroup();
    const bool uncommitted = group.owns_rounds() && question.holds == group.generation() &&
                             question.version > training_->store.version();
    if (uncommitted) return std::nullopt;
    // Otherwise the lease that it asks for next is the way: another kind of task, or a round that
    // was begun by rest.
    const bool open = RoundsAreOpen() && (group.owns_rounds() || RoundEmpty());
    if (open) {
      const Group::State before = group.state();
      Result<GroupPlace> entered = group.Enter(question.worker, question.holds, clock_.Now());
      if (!entered.ok()) return entered;
      place = *entered;
      TickGroup();
      if (group.state() != before) {
        // It was the last one that the others waited for.
        changed_.NotifyAll();
        if (place.state == GroupPlace::State::kWait) continue;
      }
    }
    FillPlace(question, place);
    if (place.state != GroupPlace::State::kWait || !open) return place;
    return std::nullopt;
  }
}

Result<GroupPlace> JobServiceImpl::EnterGroup(const GroupQuestion& question, milliseconds wait) {
  const MutexLock lock(mutex_);
  GroupPlace place;
  const std::optional<Result<GroupPlace>> entered = LongPoll(
      mutex_, changed_, clock_, wait,
      [&] {
        mutex_.AssertHeld();
        return TryEnter(question, place);
      },
      [&] {
        mutex_.AssertHeld();
        return group_.group().NextDeadline();
      });
  if (entered) return *entered;
  FillPlace(question, place);
  return place;
}

Status JobServiceImpl::SetGroupId(const std::string& worker, Incarnation incarnation,
                                  Generation generation, const std::string& id) {
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  ELEPHAS_RETURN_IF_ERROR(group_.group().SetId(worker, generation, id, clock_.Now()));
  changed_.NotifyAll();
  return OkStatus();
}

Status JobServiceImpl::AbortGroup(const std::string& worker, Incarnation incarnation,
                                  Generation generation, const std::string& reason) {
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  group_.group().Abort(worker, generation, reason, clock_.Now());
  TellGroupNews();
  return OkStatus();
}

Result<bool> JobServiceImpl::AwaitGroupEnd(Incarnation incarnation, Generation generation,
                                           milliseconds wait) {
  const MutexLock lock(mutex_);
  const std::optional<Result<bool>> over = LongPoll(
      mutex_, changed_, clock_, wait,
      [&]() -> std::optional<Result<bool>> {
        mutex_.AssertHeld();
        if (Status valid = CheckIncarnation(incarnation); !valid.ok()) return valid;
        if (training_) TickGroup();
        if (group_.RoundsOf() == generation) return std::nullopt;
        return true;
      },
      [&] {
        mutex_.AssertHeld();
        return group_.group().NextDeadline();
      });
  return over ? *over : Result<bool>(false);
}

// ---------------------------------------------------------------- commits

Result<UpdateOutcome> JobServiceImpl::JudgeCommit(const GroupCommitHeader& header) const {
  ELEPHAS_RETURN_IF_ERROR(CheckTraining(header.incarnation));
  return group_.Judge(header, training_->store.version(), training_->contributions);
}

Result<GroupStepsReply> JobServiceImpl::StageGroupSteps(const GroupSteps& steps) {
  const MutexLock apply_lock(apply_mutex_);
  const MutexLock lock(mutex_);
  const Result<UpdateOutcome> outcome = JudgeCommit(steps.header);
  if (!outcome.ok() && training_ && training_->contributions > 0) {
    group_.group().Abort(steps.header.worker, steps.header.generation, outcome.status().message(),
                         clock_.Now());
    TellGroupNews();
  }
  ELEPHAS_RETURN_IF_ERROR(outcome.status());
  group_.group().Seen(steps.header.worker, clock_.Now());
  if (*outcome == UpdateOutcome::kDuplicate) {
    return GroupStepsReply{UpdateOutcome::kDuplicate, group_.last_rounds()};
  }
  ELEPHAS_ASSIGN_OR_RETURN(GroupCommit * commit,
                           group_.Open(training_->plan, training_->ledger, steps.header));
  ELEPHAS_RETURN_IF_ERROR(commit->AddSteps(steps.header.worker, steps.steps));
  GroupStepsReply reply;
  reply.rounds = group_.group().RoundsAfter(steps.header.target, clock_.Now());
  CommitGroupWhenComplete();
  return reply;
}

Result<UpdateOutcome> JobServiceImpl::AdmitGroupModel(const GroupCommitHeader& header) const {
  const MutexLock lock(mutex_);
  return JudgeCommit(header);
}

Result<UpdateReply> JobServiceImpl::StageGroupModel(
    const GroupCommitHeader& header, std::int64_t iterations,
    std::shared_ptr<FloatBuffer> parameters, std::vector<std::shared_ptr<FloatBuffer>> slots) {
  const bool finite = AllFinite(std::as_const(*parameters).floats());
  const MutexLock apply_lock(apply_mutex_);
  const MutexLock lock(mutex_);
  ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, JudgeCommit(header));
  const ParameterStore& store = training_->store;
  if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store.version()};
  const std::size_t rows = training_->layout->slot_names.size();
  const auto size = [](const std::shared_ptr<FloatBuffer>& buffer) {
    return static_cast<std::int64_t>(std::as_const(*buffer).floats().size());
  };
  if (size(parameters) != store.range().size()) {
    return Invalid("'parameters' must have " + std::to_string(store.range().size()) + " elements");
  }
  if (slots.size() != rows ||
      std::ranges::any_of(slots, [&](const auto& s) { return size(s) != store.trainable(); })) {
    return Invalid("'slots' must have " + std::to_string(rows) + " rows of " +
                   std::to_string(store.trainable()) + " elements");
  }
  if (spec_.fit.on_nan == OnNan::kFail && !finite) {
    return Invalid("'parameters' holds a NaN or an infinity");
  }
  if (iterations < store.iterations()) return Invalid("'iterations' must not go back");
  ELEPHAS_ASSIGN_OR_RETURN(GroupCommit * commit,
                           group_.Open(training_->plan, training_->ledger, header));
  commit->SetModel({std::move(parameters), std::move(slots), iterations});
  group_.group().Seen(header.worker, clock_.Now());
  CommitGroupWhenComplete();
  return UpdateReply{UpdateOutcome::kApplied, store.version()};
}

// Parameters, slots, version and ledger change together: nobody sees one without the others.
void JobServiceImpl::CommitGroupWhenComplete() {
  std::optional<GroupCommit> commit = group_.TakeWhole();
  if (!commit) return;
  GroupCommit::Model& model = commit->model();
  ParameterStore& store = training_->store;
  counters_.rounds +=
      static_cast<std::uint64_t>(commit->target().value() - store.version().value());
  store.Set(std::move(model.parameters), std::move(model.slots), commit->target(),
            model.iterations);
  for (const GroupCommit::Step& step : commit->steps()) {
    if (step.batches.size() <= 0) continue;
    training_->ledger.Record(step.task, step.batches, step.examples, step.metrics);
    coordinator_.CountExamples(step.worker, step.examples);
    counters_.examples[step.task.kind] += static_cast<std::uint64_t>(step.examples);
  }
  group_.Applied(*commit, clock_.Now());
  throughput_.Add(clock_.Now(), training_->ledger.ExamplesApplied());
  round_.Begin(training_->NextRound());
  CloseEpochsAndCheckpoint();
  group_.group().Committed(commit->target(), clock_.Now());
  TellGroupNews();
  changed_.NotifyAll();
}

// What `transport` in the status says: by which way training is exchanged now, and why.
json JobServiceImpl::GroupJson() const {
  const Group& group = group_.group();
  const bool trains = group.state() == Group::State::kTraining;
  return {{"now", trains ? group.collective() : "rest"},
          {"state", Word(group.state())},
          {"reason", group.reason()},
          {"generation", group.generation().value()},
          {"members", group.members()}};
}

}  // namespace elephas
