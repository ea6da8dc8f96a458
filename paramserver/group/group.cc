#include "paramserver/group/group.h"

#include <algorithm>
#include <array>
#include <utility>

namespace elephas {

namespace {

// Rounds between commits may double at most, so that one fast commit does not promise a long one.
constexpr std::int64_t kMaxRounds = std::int64_t{1} << 20;
constexpr int kMaxDoublings = 4;

std::string Seconds(std::chrono::milliseconds time) {
  return std::to_string(time.count() / 1000) + "." + std::to_string(time.count() % 1000 / 100) +
         " s";
}

}  // namespace

std::string_view Word(Group::State state) {
  constexpr std::array<std::string_view, 5> kWords{"off", "gathering", "connecting", "training",
                                                   "rest"};
  return kWords.at(static_cast<std::size_t>(state));
}

Group::Group(Options options) : options_(std::move(options)) { Reset(); }

void Group::Reset() {
  state_ = options_.allowed ? State::kGathering : State::kOff;
  workers_.clear();
  gathering_since_.reset();
  generation_ = Generation(0);
  members_.clear();
  connected_.clear();
  id_.clear();
  collective_.clear();
  reason_.clear();
  barren_ = 0;
  fallbacks_ = 0;
  rounds_ = 1;
  planned_for_.reset();
}

// ---------------------------------------------------------------- who is there

bool Group::IsMember(const std::string& worker) const {
  return std::ranges::find(members_, worker) != members_.end();
}

void Group::Remove(const std::string& worker, const std::string& why, TimePoint now) {
  const auto it = workers_.find(worker);
  if (it == workers_.end()) return;
  workers_.erase(it);
  if (IsMember(worker)) End(worker + " " + why, /*planned=*/false, now);
}

void Group::Join(const std::string& worker, TimePoint now) {
  if (state_ == State::kOff) return;
  Remove(worker, "was started again", now);
  workers_[worker].seen = now;
}

void Group::Leave(const std::string& worker, TimePoint now) { Remove(worker, "left", now); }

void Group::Seen(const std::string& worker, TimePoint now) {
  const auto it = workers_.find(worker);
  if (it == workers_.end()) return;
  it->second.seen = now;
  it->second.present = true;
}

void Group::Offer(const std::string& worker, const std::string& collective,
                  const std::string& why_none, TimePoint now) {
  const auto it = workers_.find(worker);
  if (it == workers_.end()) return;
  it->second.seen = now;
  it->second.offered = true;
  it->second.collective = collective;
  it->second.why_none = why_none;
}

bool Group::AnyoneAble() const {
  return std::ranges::any_of(workers_, [](const auto& entry) {
    return entry.second.present && !entry.second.collective.empty();
  });
}

// Why those who are there cannot form a group, whatever time brings.
std::optional<std::string> Group::WhyRest() const {
  std::string common;
  for (const auto& [name, worker] : workers_) {
    if (!worker.present || !worker.offered) continue;
    if (worker.collective.empty()) {
      return name + (worker.why_none.empty() ? " offers no collective" : ": " + worker.why_none);
    }
    if (!common.empty() && common != worker.collective) {
      return name + " offers " + worker.collective + ", others " + common;
    }
    common = worker.collective;
  }
  return std::nullopt;
}

Group::Route Group::RouteFor(const std::string& worker) const {
  const auto it = workers_.find(worker);
  const bool able = it != workers_.end() && !it->second.collective.empty();
  switch (state_) {
    case State::kOff:
    case State::kFallback:
      return Route::kLease;
    case State::kGathering:
      return able && !WhyRest() ? Route::kEnter : Route::kLease;
    case State::kConnecting:
    case State::kTraining:
      return able ? Route::kEnter : Route::kNothing;
  }
  return Route::kLease;
}

std::string Group::reason() const {
  if (state_ == State::kOff) return options_.why_not;
  if (state_ == State::kGathering) {
    if (const auto why = WhyRest()) return *why;
  }
  return reason_;
}

// ---------------------------------------------------------------- generations

std::int64_t Group::PresentCount() const {
  return std::ranges::count_if(workers_, [](const auto& entry) { return entry.second.present; });
}

std::int64_t Group::EnteredCount() const {
  return std::ranges::count_if(workers_, [](const auto& entry) { return entry.second.entered; });
}

bool Group::NewcomerWaits() const {
  return std::ranges::any_of(
      workers_, [&](const auto& entry) { return entry.second.entered && !IsMember(entry.first); });
}

Result<GroupPlace> Group::Enter(const std::string& worker, Generation holds, TimePoint now) {
  const auto it = workers_.find(worker);
  if (it == workers_.end()) return NotFound("worker '" + worker + "' has not joined");
  Seen(worker, now);
  GroupPlace place;
  if (RouteFor(worker) != Route::kEnter) {
    place.state = GroupPlace::State::kRest;
    place.reason = reason();
    return place;
  }
  if (IsMember(worker) && state_ == State::kTraining && holds != generation_) {
    End(worker + " has lost its communicator", /*planned=*/false, now);
    return Enter(worker, Generation(0), now);
  }
  it->second.entered = true;
  if (state_ == State::kGathering) {
    if (!gathering_since_) gathering_since_ = now;
    return place;  // Tick() forms the group
  }
  if (!IsMember(worker)) return place;
  if (holds == generation_ && state_ == State::kConnecting) {
    connected_.insert(worker);
    if (connected_.size() == members_.size()) {
      state_ = State::kTraining;
      last_commit_ = now;
      news_.push_back({"GroupFormed", "generation " + std::to_string(generation_.value()) + ": " +
                                          std::to_string(members_.size()) + " workers train over " +
                                          collective_});
    }
  }
  place.generation = generation_;
  place.rank = std::ranges::find(members_, worker) - members_.begin();
  place.world = static_cast<std::int64_t>(members_.size());
  if (state_ == State::kTraining) {
    place.state = GroupPlace::State::kTrain;
    place.rounds = planned_for_ ? planned_rounds_ : rounds_;
  } else if (holds != generation_ && (place.rank == 0 || !id_.empty())) {
    place.state = GroupPlace::State::kConnect;
    place.id = id_;
  }
  return place;
}

Status Group::SetId(const std::string& worker, Generation generation, const std::string& id,
                    TimePoint now) {
  Seen(worker, now);
  if (generation != generation_ || !owns_rounds()) {
    return Conflict("generation " + std::to_string(generation.value()) + " is over");
  }
  if (members_.front() != worker) return Conflict(worker + " is not rank 0");
  if (id_.empty()) id_ = id;
  return OkStatus();
}

void Group::Form(TimePoint now) {
  members_.clear();
  for (auto& [name, worker] : workers_) {
    if (!worker.entered) continue;
    members_.push_back(name);
    collective_ = worker.collective;
  }
  ++generation_;
  connected_.clear();
  id_.clear();
  state_ = State::kConnecting;
  deadline_ = now + options_.connecting;
  gathering_since_.reset();
  planned_for_.reset();
}

void Group::End(const std::string& why, bool planned, TimePoint now) {
  if (!owns_rounds()) return;
  const std::string number = std::to_string(generation_.value());
  news_.push_back({"GroupEnded", "generation " + number + " is over: " + why});
  for (const std::string& member : members_) {
    const auto it = workers_.find(member);
    if (it != workers_.end()) it->second.entered = false;
  }
  members_.clear();
  connected_.clear();
  id_.clear();
  planned_for_.reset();
  state_ = State::kGathering;
  reason_ = why;
  rounds_ = std::max<std::int64_t>(1, rounds_ / 2);
  // Who waited to come in has waited long enough; the patience is for the others.
  gathering_since_.reset();
  if (EnteredCount() > 0) gathering_since_ = now;
  if (planned) return;
  if (++barren_ >= options_.attempts) FallBack(why, now);
}

void Group::FallBack(const std::string& why, TimePoint now) {
  state_ = State::kFallback;
  reason_ =
      std::to_string(barren_) + " generations in a row ended without a commit, the last: " + why;
  fallback_until_ = now + options_.retry * (1 << std::min(fallbacks_, kMaxDoublings));
  ++fallbacks_;
  barren_ = options_.attempts - 1;  // the next time one is enough
  news_.push_back({"GroupFallback", "training goes on by rest: " + reason_});
}

void Group::Abort(const std::string& worker, Generation generation, const std::string& reason,
                  TimePoint now) {
  Seen(worker, now);
  if (generation != generation_ || !IsMember(worker)) return;
  End(worker + ": " + reason, /*planned=*/false, now);
}

void Group::Tick(TimePoint now, bool round_empty) {
  if (state_ == State::kOff) return;
  for (auto& [name, worker] : workers_) {
    if (!worker.present || worker.seen + options_.silence > now) continue;
    worker.present = false;
    worker.entered = false;
    if (!IsMember(name)) continue;
    End(name + " was not heard of for " + Seconds(options_.silence), /*planned=*/false, now);
  }
  if (state_ == State::kConnecting && deadline_ <= now) {
    std::string missing;
    for (const std::string& member : members_) {
      if (!connected_.contains(member)) missing += (missing.empty() ? "" : ", ") + member;
    }
    End("no connection within " + Seconds(options_.connecting) + ": " + missing,
        /*planned=*/false, now);
  }
  if (state_ == State::kFallback && fallback_until_ <= now) {
    state_ = State::kGathering;
    gathering_since_.reset();
  }
  if (state_ != State::kGathering || !gathering_since_ || !round_empty) return;
  if (!AnyoneAble() || WhyRest() || EnteredCount() == 0) return;
  const bool complete = EnteredCount() == PresentCount() && EnteredCount() >= options_.expected;
  if (complete || *gathering_since_ + options_.patience <= now) Form(now);
}

std::optional<Group::TimePoint> Group::NextDeadline() const {
  if (state_ == State::kOff) return std::nullopt;
  std::optional<TimePoint> next;
  const auto earliest = [&next](TimePoint time) { next = next ? std::min(*next, time) : time; };
  for (const auto& [name, worker] : workers_) {
    if (worker.present) earliest(worker.seen + options_.silence);
  }
  if (state_ == State::kConnecting) earliest(deadline_);
  if (state_ == State::kFallback) earliest(fallback_until_);
  if (state_ == State::kGathering && gathering_since_) {
    earliest(*gathering_since_ + options_.patience);
  }
  return next;
}

// ---------------------------------------------------------------- commits

Status Group::CheckTraining(const std::string& worker, Generation generation) const {
  if (state_ != State::kTraining || generation != generation_) {
    return Conflict("generation " + std::to_string(generation.value()) + " is over" +
                    (reason_.empty() ? "" : ": " + reason_));
  }
  if (!IsMember(worker)) return Conflict(worker + " is no member of this generation");
  return OkStatus();
}

std::int64_t Group::RoundsAfter(Version target, TimePoint now) {
  if (planned_for_ == target) return planned_rounds_;
  // As many as fit into commit_every, judged by the time that the last ones took.
  const auto took = std::max<std::int64_t>(
      1, std::chrono::duration_cast<std::chrono::milliseconds>(now - last_commit_).count());
  const std::int64_t fit = rounds_ * options_.commit_every.count() / took;
  rounds_ = std::clamp<std::int64_t>(fit, std::max<std::int64_t>(1, rounds_ / 2),
                                     std::min(kMaxRounds, 2 * rounds_));
  last_commit_ = now;
  planned_for_ = target;
  planned_rounds_ = NewcomerWaits() ? 0 : rounds_;
  return planned_rounds_;
}

void Group::Committed(Version target, TimePoint now) {
  barren_ = 0;
  fallbacks_ = 0;
  reason_.clear();
  if (planned_for_ == target && planned_rounds_ == 0) {
    End("another worker comes in", /*planned=*/true, now);
  }
}

std::vector<Group::News> Group::TakeNews() { return std::exchange(news_, {}); }

}  // namespace elephas
