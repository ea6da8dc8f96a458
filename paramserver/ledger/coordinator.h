// Who works on what: workers, leases and the choice of the next task.
//
// The coordinator never decides what has been applied, that is the ledger's. A lease only keeps two
// workers from doing the same work, so a wrong guess here costs time, never exactness.
//
// Pure: time is an argument, the caller synchronises.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/protocol/protocol.h"
#include "paramserver/ledger/job_plan.h"
#include "paramserver/ledger/ledger.h"

namespace elephas {

// Tasks that could be worked on now, by the ledger alone, in the order in which to hand them out;
// `batches` is what is left of each (synchronous: the open round's part). Examples:
//   asynchronous     what is left of the open epoch, then of the next one where partitions allow it
//   synchronous      the contributions that the open round still misses
//   epoch trained    its validation tasks; everything done: finalize
struct OpenTask {
  TaskId task;
  Range batches;
};
std::vector<OpenTask> OpenTasks(const JobPlan& plan, const Ledger& ledger);

class Coordinator {
 public:
  using TimePoint = Clock::TimePoint;

  struct Worker {
    TimePoint last_seen;
    bool live = true;
    std::int64_t examples = 0;  // that it has pushed and that were applied
  };
  struct Held {
    std::string worker;
    TaskId task;
    Range batches;
    TimePoint expires;
  };

  explicit Coordinator(std::chrono::milliseconds lease_duration);

  // A second join of a name voids the leases of the first. Returns how many it voided.
  std::int64_t Join(const std::string& name, TimePoint now);
  // kNotFound for a name that never joined, has left, or was given up.
  Status Heartbeat(const std::string& name, TimePoint now);
  std::int64_t Leave(const std::string& name);
  void CountExamples(const std::string& name, std::int64_t examples);

  // The next task for `worker`, or nothing now. `prefetch`: one more beside the one it works on,
  // and only what would be left over if every idle worker took one. A worker that holds more than
  // it can know of (one lease, or two with `prefetch`) is given the surplus one again: the reply
  // that granted it was lost, and its heartbeats would keep it from everybody else for ever.
  std::optional<Lease> Acquire(const std::string& worker, TimePoint now, bool prefetch,
                               const JobPlan& plan, const Ledger& ledger);
  // Traffic renews; unknown leases are ignored (they were lost).
  void Renew(LeaseId lease, TimePoint now);
  // Drops the lease when its batches are done; true when it was held until now.
  bool Progressed(LeaseId lease, const Ledger& ledger);
  // Null when it is not held any more.
  [[nodiscard]] const Held* Find(LeaseId lease) const;

  struct Lost {
    LeaseId lease;
    Held held;
  };
  // Takes back leases whose time is over and gives up workers that were silent for two durations.
  std::vector<Lost> Expire(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> NextExpiry() const;
  // A new incarnation: every lease and every worker is forgotten, numbers go on growing.
  void Reset();

  [[nodiscard]] const std::map<std::string, Worker>& workers() const { return workers_; }
  [[nodiscard]] const std::map<LeaseId, Held>& leases() const { return leases_; }

 private:
  [[nodiscard]] bool Taken(const OpenTask& open) const;
  [[nodiscard]] std::int64_t IdleWorkersBeside(const std::string& worker) const;
  [[nodiscard]] std::optional<LeaseId> GivenBefore(const std::string& worker, bool prefetch) const;
  std::int64_t DropLeasesOf(const std::string& worker);

  std::chrono::milliseconds lease_duration_;
  std::map<std::string, Worker> workers_;
  std::map<LeaseId, Held> leases_;
  // The worker that last held a partition: its caches and optimizer slots fit, so it comes first.
  std::map<Partition, std::string> owners_;
  std::int64_t last_lease_ = 0;
};

}  // namespace elephas
