#include "paramserver/job/event_log.h"

namespace elephas {

namespace {
constexpr std::size_t kKept = 100;
}  // namespace

void EventLog::Add(const std::string& reason, const std::string& message) {
  const MutexLock lock(mutex_);
  events_.push_back({clock_.UnixMillis(), reason, message});
  if (events_.size() > kKept) events_.pop_front();
}

nlohmann::json EventLog::ToJson() const {
  const MutexLock lock(mutex_);
  nlohmann::json out = nlohmann::json::array();
  for (const Event& event : events_) {
    out.push_back(
        {{"time", event.unix_millis}, {"reason", event.reason}, {"message", event.message}});
  }
  return out;
}

}  // namespace elephas
