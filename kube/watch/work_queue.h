// Which jobs want to be looked at, in order, each by one worker at a time.
//
// The rules are those of client-go's work queue: a key added while it waits is one entry; a key
// added while it is being handled is handed out again only after Done, so no key is ever handled
// twice at once and no wish is lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "kube/client.h"
#include "kube/observer.h"

namespace elephas::kube {

// Thread-safe. `clock` and `observer` outlive it.
class WorkQueue {
 public:
  struct Options {
    std::string name = "jobs";  // for the observer
    // The pause after a key's first failure; it doubles with each further one.
    std::chrono::milliseconds first_pause{50}, longest_pause{30'000};
    // Up to this share is added to a pause, so that keys that fail together do not return together.
    double jitter = 0.1;
    std::uint64_t seed = 0;  // of the jitter; 0: another one in each process
  };
  explicit WorkQueue(const Clock& clock) : WorkQueue(clock, Options{}, NoObserver()) {}
  WorkQueue(const Clock& clock, Options options, ClientObserver& observer = NoObserver());

  void Add(const ObjectName& key);
  // Not before `delay` has passed; of several waits for one key the shortest counts.
  void AddAfter(const ObjectName& key, std::chrono::milliseconds delay);
  // After a failure: a pause that grows with the key's failures, and is at least `at_least` (a
  // server's Retry-After).
  void AddFailed(const ObjectName& key, std::chrono::milliseconds at_least = {});
  // After success: the next failure's pause is the first one again.
  void Forget(const ObjectName& key);
  [[nodiscard]] int failures(const ObjectName& key) const;

  // Blocks until a key is there; nullopt after ShutDown. The caller calls Done(key) when it is
  // handled.
  std::optional<ObjectName> Get();
  // The same without blocking; nullopt also when there is nothing to do now.
  std::optional<ObjectName> TryGet();
  void Done(const ObjectName& key);

  // Wakes every Get; what is queued is dropped. For good.
  void ShutDown();
  // Keys that could be handed out now.
  [[nodiscard]] std::size_t depth() const;

 private:
  void Enqueue(const ObjectName& key, Clock::TimePoint now) ELEPHAS_REQUIRES(mutex_);
  void ReleaseDelayed(Clock::TimePoint now) ELEPHAS_REQUIRES(mutex_);
  void DelayUntil(const ObjectName& key, Clock::TimePoint when) ELEPHAS_REQUIRES(mutex_);
  std::optional<ObjectName> Pop(Clock::TimePoint now) ELEPHAS_REQUIRES(mutex_);

  const Clock& clock_;
  const Options options_;
  ClientObserver& observer_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool shut_down_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::deque<ObjectName> ready_ ELEPHAS_GUARDED_BY(mutex_);
  // Since when a key waits in ready_, or until Done.
  std::map<ObjectName, Clock::TimePoint> wanted_ ELEPHAS_GUARDED_BY(mutex_);
  std::set<ObjectName> handled_ ELEPHAS_GUARDED_BY(mutex_);  // between Get and Done
  std::set<std::pair<Clock::TimePoint, ObjectName>> delayed_ ELEPHAS_GUARDED_BY(mutex_);
  std::map<ObjectName, Clock::TimePoint> delayed_until_ ELEPHAS_GUARDED_BY(mutex_);
  std::map<ObjectName, int> failures_ ELEPHAS_GUARDED_BY(mutex_);
  std::mt19937_64 random_ ELEPHAS_GUARDED_BY(mutex_);
};

}  // namespace elephas::kube
