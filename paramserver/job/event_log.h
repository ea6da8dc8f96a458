// The last things that happened to the job, for /v1/status. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace elephas {

class EventLog {
 public:
  explicit EventLog(const Clock& clock) : clock_(clock) {}
  // `reason` is one CamelCase word ("WorkerJoined"), `message` a sentence. The oldest of more than
  // 100 goes.
  void Add(const std::string& reason, const std::string& message);
  // [{"time": milliseconds since 1970, "reason", "message"}], the oldest first.
  [[nodiscard]] nlohmann::json ToJson() const;

 private:
  struct Event {
    std::int64_t unix_millis;
    std::string reason, message;
  };
  const Clock& clock_;
  mutable Mutex mutex_;
  std::deque<Event> events_ ELEPHAS_GUARDED_BY(mutex_);
};

}  // namespace elephas
