// Which workers train together over a collective (NCCL), and under which generation.
//
// A generation is one communicator's life: a fixed set of workers with ranks 0..n-1. It ends when a
// member is lost, leaves, restarts or reports an error, or, planned, at a commit when somebody
// waits to come in. Then those who are there form the next one.
//
//             enter            all hold it            a member is lost, an error
//   gathering ─────► connecting ─────────► training ──────────────┐
//       ▲  ▲             │ timeout, error      │ planned           │
//       │  └─────────────┴─────────────────────┴───────────────────┘
//       │ time                                       `attempts` generations without a commit
//   fallback (rest) ◄─────────────────────────────────────────────┘
//
// The group never decides what has been applied: that is the ledger's. A wrong guess here costs the
// rounds since the last commit, never exactness.
//
// Pure: time is an argument, the caller synchronises.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/named_type.h"
#include "common/base/result.h"
#include "common/protocol/group_protocol.h"

namespace elephas {

class Group {
 public:
  using TimePoint = Clock::TimePoint;
  using Milliseconds = std::chrono::milliseconds;

  struct Options {
    bool allowed = false;             // the job could train in a group at all
    std::string why_not;              // when it could not
    std::int64_t expected = 1;        // workers that the job has when all are there
    Milliseconds patience{3000};      // for workers that have not entered while others wait
    Milliseconds connecting{60000};   // for all members to hold a communicator
    Milliseconds silence{15000};      // a worker not heard of for so long is lost
    Milliseconds commit_every{5000};  // what RoundsAfter() aims at
    int attempts = 3;                 // generations in a row without a commit: then rest
    Milliseconds retry{60000};        // first stay in fallback; doubled each time, at most 16 times
  };
  explicit Group(Options options);

  // --- who is there ---
  // A process (re)started under this name; a generation that it was in is over.
  void Join(const std::string& worker, TimePoint now);
  void Leave(const std::string& worker, TimePoint now);
  void Seen(const std::string& worker, TimePoint now);
  // Which collective the worker has, or (empty) why it has none.
  void Offer(const std::string& worker, const std::string& collective, const std::string& why_none,
             TimePoint now);

  // How `worker` is to train now.
  enum class Route : std::uint8_t {
    kLease,    // by rest, as ever
    kEnter,    // with the group: Enter()
    kNothing,  // the others do; this one cannot
  };
  [[nodiscard]] Route RouteFor(const std::string& worker) const;

  // Comes in, or asks how things stand; repeated until it is kTrain. `holds`: the generation whose
  // communicator the worker has, 0 for none. kNotFound: join first.
  Result<GroupPlace> Enter(const std::string& worker, Generation holds, TimePoint now);
  // Rank 0 brings what the others need to find it. A repeat is ignored; kConflict: this generation
  // is over, or it is not rank 0.
  Status SetId(const std::string& worker, Generation generation, const std::string& id,
               TimePoint now);
  // A member cannot go on. Ignored when `generation` is over.
  void Abort(const std::string& worker, Generation generation, const std::string& reason,
             TimePoint now);

  // What time brings: lost members, patience that is over. `round_empty`: nobody works on or has
  // contributed to the open round by rest, so a group could begin.
  void Tick(TimePoint now, bool round_empty);
  // When Tick() will next do something.
  [[nodiscard]] std::optional<TimePoint> NextDeadline() const;

  // --- commits ---
  // kConflict when `generation` does not train (any more) or `worker` is no member.
  [[nodiscard]] Status CheckTraining(const std::string& worker, Generation generation) const;
  // Rounds to train after version `target` until the next commit; 0: a new generation follows the
  // commit. The answer for one target never changes.
  std::int64_t RoundsAfter(Version target, TimePoint now);
  // `target` is committed. Ends the generation when RoundsAfter() said so.
  void Committed(Version target, TimePoint now);

  // A new incarnation: everything is forgotten but the options.
  void Reset();

  // --- watching ---
  enum class State : std::uint8_t { kOff, kGathering, kConnecting, kTraining, kFallback };
  [[nodiscard]] State state() const { return state_; }
  // True while updates by rest are refused.
  [[nodiscard]] bool owns_rounds() const {
    return state_ == State::kConnecting || state_ == State::kTraining;
  }
  [[nodiscard]] Generation generation() const { return generation_; }
  // Members of the current generation in rank order; empty when there is none.
  [[nodiscard]] const std::vector<std::string>& members() const { return members_; }
  // Why the last generation ended, or why there is none.
  [[nodiscard]] std::string reason() const;
  [[nodiscard]] const std::string& collective() const { return collective_; }
  // What has happened since the last call, for the event log: {"GroupFormed", "…"}.
  struct News {
    std::string reason, message;
  };
  std::vector<News> TakeNews();

 private:
  struct Worker {
    TimePoint seen;
    bool present = true;  // not silent; who is heard of again is there again
    bool offered = false;
    std::string collective;  // empty: none
    std::string why_none;
    bool entered = false;
  };

  [[nodiscard]] std::optional<std::string> WhyRest() const;
  [[nodiscard]] bool AnyoneAble() const;
  [[nodiscard]] bool IsMember(const std::string& worker) const;
  [[nodiscard]] bool NewcomerWaits() const;
  [[nodiscard]] std::int64_t PresentCount() const;
  [[nodiscard]] std::int64_t EnteredCount() const;
  void Form(TimePoint now);
  void End(const std::string& why, bool planned, TimePoint now);
  void FallBack(const std::string& why, TimePoint now);
  void Remove(const std::string& worker, const std::string& why, TimePoint now);

  const Options options_;
  State state_ = State::kOff;
  std::map<std::string, Worker> workers_;
  std::optional<TimePoint> gathering_since_;  // the first of those who wait entered
  Generation generation_;
  std::vector<std::string> members_;
  std::set<std::string> connected_;
  std::string id_;
  std::string collective_;
  TimePoint deadline_;  // of connecting
  std::string reason_;
  int barren_ = 0;  // generations in a row without a commit
  int fallbacks_ = 0;
  TimePoint fallback_until_;

  std::int64_t rounds_ = 1;  // between commits
  std::optional<Version> planned_for_;
  std::int64_t planned_rounds_ = 1;
  TimePoint last_commit_;
  std::vector<News> news_;
};
std::string_view Word(Group::State state);  // "off", "gathering", "connecting", "training", "rest"

}  // namespace elephas
