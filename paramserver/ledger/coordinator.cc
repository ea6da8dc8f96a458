#include "paramserver/ledger/coordinator.h"

#include <algorithm>
#include <limits>
#include <set>

namespace elephas {

namespace {

std::vector<OpenTask> Unfinished(const JobPlan& plan, const Ledger& ledger, WorkKind kind,
                                 Epoch epoch) {
  std::vector<OpenTask> open;
  for (std::int64_t p = 0; p < plan.partitions; ++p) {
    const TaskId task{kind, epoch, Partition(p)};
    const std::int64_t next = ledger.Next(task);
    const std::int64_t total = plan.Batches(task);
    if (next < total) open.push_back({task, {next, total}});
  }
  return open;
}

// Frequency `batch`: round r of an epoch is batch r of every partition that has one. The open round
// is the first that some partition has not contributed to.
std::vector<OpenTask> OpenRound(std::vector<OpenTask> unfinished) {
  std::int64_t round = std::numeric_limits<std::int64_t>::max();
  for (const OpenTask& open : unfinished) round = std::min(round, open.batches.first);
  std::erase_if(unfinished, [&](const OpenTask& open) { return open.batches.first != round; });
  for (OpenTask& open : unfinished) open.batches.last = round + 1;
  return unfinished;
}

std::vector<OpenTask> OpenTrainTasks(const JobPlan& plan, const Ledger& ledger) {
  const Epoch epoch = ledger.OpenEpoch();
  std::vector<OpenTask> open = Unfinished(plan, ledger, WorkKind::kTrain, epoch);
  if (plan.synchronous()) {
    return plan.frequency == Frequency::kBatch ? OpenRound(std::move(open)) : open;
  }
  const Epoch next(epoch.value() + 1);
  if (plan.epochs_overlap() && next.value() < plan.TrainTasks()) {
    for (OpenTask& ahead : Unfinished(plan, ledger, WorkKind::kTrain, next)) {
      if (ledger.Done({WorkKind::kTrain, epoch, ahead.task.partition})) open.push_back(ahead);
    }
  }
  return open;
}

}  // namespace

std::vector<OpenTask> OpenTasks(const JobPlan& plan, const Ledger& ledger) {
  if (ledger.AllDone()) {
    const TaskId finalize{WorkKind::kFinalize, Epoch(0), Partition(0)};
    if (ledger.Done(finalize)) return {};
    return {{finalize, {0, 1}}};
  }
  if (plan.task == TaskKind::kEvaluate) {
    return Unfinished(plan, ledger, WorkKind::kEvaluate, Epoch(0));
  }
  if (plan.task == TaskKind::kPredict) {
    return Unfinished(plan, ledger, WorkKind::kPredict, Epoch(0));
  }
  std::vector<OpenTask> open = OpenTrainTasks(plan, ledger);
  if (open.empty() && plan.validates()) {
    open = Unfinished(plan, ledger, WorkKind::kValidate, ledger.OpenEpoch());
  }
  return open;
}

Coordinator::Coordinator(std::chrono::milliseconds lease_duration)
    : lease_duration_(lease_duration) {}

std::int64_t Coordinator::DropLeasesOf(const std::string& worker) {
  return static_cast<std::int64_t>(
      std::erase_if(leases_, [&](const auto& entry) { return entry.second.worker == worker; }));
}

std::int64_t Coordinator::Join(const std::string& name, TimePoint now) {
  const std::int64_t voided = DropLeasesOf(name);
  Worker& worker = workers_[name];
  worker.last_seen = now;
  worker.live = true;
  return voided;
}

Status Coordinator::Heartbeat(const std::string& name, TimePoint now) {
  const auto it = workers_.find(name);
  if (it == workers_.end() || !it->second.live) {
    return NotFound("worker '" + name + "' has not joined");
  }
  it->second.last_seen = now;
  for (auto& [id, held] : leases_) {
    if (held.worker == name) held.expires = now + lease_duration_;
  }
  return OkStatus();
}

std::int64_t Coordinator::Leave(const std::string& name) {
  const auto it = workers_.find(name);
  if (it != workers_.end()) it->second.live = false;
  return DropLeasesOf(name);
}

void Coordinator::CountExamples(const std::string& name, std::int64_t examples) {
  const auto it = workers_.find(name);
  if (it != workers_.end()) it->second.examples += examples;
}

bool Coordinator::Taken(const OpenTask& open) const {
  return std::ranges::any_of(leases_,
                             [&](const auto& entry) { return entry.second.task == open.task; });
}

std::int64_t Coordinator::IdleWorkersBeside(const std::string& worker) const {
  std::set<std::string> busy;
  for (const auto& [id, held] : leases_) busy.insert(held.worker);
  return std::ranges::count_if(workers_, [&](const auto& entry) {
    return entry.second.live && entry.first != worker && !busy.contains(entry.first);
  });
}

std::optional<LeaseId> Coordinator::GivenBefore(const std::string& worker, bool prefetch) const {
  std::vector<LeaseId> held;
  for (const auto& [id, lease] : leases_) {
    if (lease.worker == worker) held.push_back(id);
  }
  if (held.size() < (prefetch ? 2U : 1U)) return std::nullopt;
  return prefetch ? held.back() : held.front();
}

std::optional<Lease> Coordinator::Acquire(const std::string& worker, TimePoint now, bool prefetch,
                                          const JobPlan& plan, const Ledger& ledger) {
  // What others have pushed in a holder's place is done; the holder may never come back to say so.
  std::erase_if(leases_, [&](const auto& entry) {
    return ledger.Next(entry.second.task) >= entry.second.batches.last;
  });
  const auto grant = [&](LeaseId id) {
    Held& held = leases_[id];
    held.batches.first = ledger.Next(held.task);
    held.expires = now + lease_duration_;
    Lease lease;
    lease.id = id;
    lease.task = held.task;
    lease.batches = held.batches;
    lease.rows = plan.Rows(held.task);
    lease.expires_in_seconds = std::chrono::duration<double>(lease_duration_).count();
    return lease;
  };
  if (const auto lost = GivenBefore(worker, prefetch)) return grant(*lost);

  std::vector<OpenTask> open = OpenTasks(plan, ledger);
  std::erase_if(open, [&](const OpenTask& candidate) { return Taken(candidate); });
  if (open.empty()) return std::nullopt;
  if (prefetch && static_cast<std::int64_t>(open.size()) <= IdleWorkersBeside(worker)) {
    return std::nullopt;
  }
  // The next epoch only when nothing of the open one is waiting.
  const Epoch first = open.front().task.epoch;
  std::erase_if(open, [&](const OpenTask& candidate) { return candidate.task.epoch != first; });

  // Own partitions first, then those nobody lives for; another worker's only when nothing else is
  // left, and from the end, where it would come to them last.
  const auto owner_is = [&](const OpenTask& candidate, auto predicate) {
    const auto it = owners_.find(candidate.task.partition);
    return predicate(it == owners_.end() ? std::string() : it->second);
  };
  const auto mine = [&](const std::string& owner) { return owner == worker; };
  const auto nobodys = [&](const std::string& owner) {
    const auto it = workers_.find(owner);
    return it == workers_.end() || !it->second.live;
  };
  auto chosen = std::ranges::find_if(open, [&](const auto& c) { return owner_is(c, mine); });
  if (chosen == open.end()) {
    chosen = std::ranges::find_if(open, [&](const auto& c) { return owner_is(c, nobodys); });
  }
  if (chosen == open.end()) chosen = std::prev(open.end());

  const LeaseId id(++last_lease_);
  leases_[id] = {worker, chosen->task, chosen->batches, now + lease_duration_};
  if (chosen->task.kind == WorkKind::kTrain) owners_[chosen->task.partition] = worker;
  return grant(id);
}

void Coordinator::Renew(LeaseId lease, TimePoint now) {
  const auto it = leases_.find(lease);
  if (it == leases_.end()) return;
  it->second.expires = now + lease_duration_;
  const auto worker = workers_.find(it->second.worker);
  if (worker != workers_.end()) worker->second.last_seen = now;
}

bool Coordinator::Progressed(LeaseId lease, const Ledger& ledger) {
  const auto it = leases_.find(lease);
  if (it == leases_.end() || ledger.Next(it->second.task) < it->second.batches.last) return false;
  leases_.erase(it);
  return true;
}

const Coordinator::Held* Coordinator::Find(LeaseId lease) const {
  const auto it = leases_.find(lease);
  return it == leases_.end() ? nullptr : &it->second;
}

std::vector<Coordinator::Lost> Coordinator::Expire(TimePoint now) {
  std::vector<Lost> lost;
  for (auto it = leases_.begin(); it != leases_.end();) {
    if (it->second.expires <= now) {
      lost.push_back({it->first, it->second});
      it = leases_.erase(it);
    } else {
      ++it;
    }
  }
  for (auto& [name, worker] : workers_) {
    if (worker.live && worker.last_seen + 2 * lease_duration_ <= now) worker.live = false;
  }
  return lost;
}

std::optional<Clock::TimePoint> Coordinator::NextExpiry() const {
  std::optional<TimePoint> next;
  for (const auto& [id, held] : leases_) {
    if (!next || held.expires < *next) next = held.expires;
  }
  return next;
}

void Coordinator::Reset() {
  leases_.clear();
  workers_.clear();
  owners_.clear();
}

}  // namespace elephas
