// Counts what a worker does and where its time goes. Knows nothing of how it is shown.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/protocol/protocol.h"
#include "common/telemetry/histogram.h"

namespace elephas {

// What the worker is doing. All but kOverlapped are spent by the thread that trains, so together
// they are its time.
enum class Activity : std::uint8_t {
  kData,        // rows of a batch are gathered
  kCompute,     // forward, backward, local optimizer step; metrics of evaluation
  kExchange,    // parameters are pulled or an update pushed while the model waits
  kLeaseWait,   // there is no task for this worker
  kAheadWait,   // the task is done, but not the exchange that runs beside it
  kOverlapped,  // parameters are exchanged by the second thread, while the first one computes
};
inline constexpr std::size_t kActivities = 6;

// Thread-safe.
class WorkMeter {
 public:
  explicit WorkMeter(const Clock& clock);  // must outlive the meter
  WorkMeter(const WorkMeter&) = delete;
  WorkMeter& operator=(const WorkMeter&) = delete;

  // Counts the time until it is destroyed. One that is made meanwhile on the same thread takes its
  // time for itself, so that nothing is counted twice.
  class [[nodiscard]] Timer {
   public:
    Timer(WorkMeter& meter, Activity activity);
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer();

   private:
    WorkMeter& meter_;
    const Activity activity_;
    Timer* const outer_;  // that runs on this thread; null: none
    const Clock::TimePoint start_;
    Clock::TimePoint::duration inner_{};  // what others took of it
  };
  Timer Time(Activity activity) { return {*this, activity}; }

  void CountStep(WorkKind kind, std::int64_t examples);  // one batch
  void CountTask(WorkKind kind, bool done);
  void CountJoin();
  void CountExchanged(std::uint64_t received_bytes, std::uint64_t sent_bytes);
  void CountExchangeError();

  struct Kind {
    std::uint64_t examples = 0, steps = 0, done = 0, failed = 0;
  };
  struct Counts {
    std::vector<Histogram> activities;  // by Activity
    std::map<WorkKind, Kind> kinds;
    std::uint64_t joins = 0, received_bytes = 0, sent_bytes = 0, exchange_errors = 0;
  };
  [[nodiscard]] Counts Read() const;

 private:
  void Observe(Activity activity, Clock::TimePoint::duration time);

  const Clock& clock_;
  mutable Mutex mutex_;
  Counts counts_ ELEPHAS_GUARDED_BY(mutex_);
};

}  // namespace elephas
