// Time as an argument: the pure parts ask a Clock, tests move a fake one by hand. And a pause that
// ends early when the program stops.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <stop_token>

#include "common/base/mutex.h"

namespace elephas {

class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  // Monotonic. Thread-safe.
  [[nodiscard]] virtual TimePoint Now() const = 0;
  // Wall clock, milliseconds since 1970. Thread-safe.
  [[nodiscard]] virtual std::int64_t UnixMillis() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] std::int64_t UnixMillis() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

// Sleeps for `time`, or until `stop` is requested. True: the whole time has passed; false: `stop`
// was requested, meanwhile or before.
inline bool SleepUnlessStopped(std::chrono::milliseconds time, const std::stop_token& stop) {
  Mutex mutex;
  std::condition_variable_any never_notified;
  const MutexLock lock(mutex);
  never_notified.wait_for(mutex, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace elephas
