// Asks a parameter server for its status again and again, on a thread of its own, so that a slow or
// dead server never holds up the supervisor.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "common/base/mutex.h"

namespace elephas::cli {

class StatusWatcher {
 public:
  struct Options {
    std::string url, token;
    std::chrono::milliseconds interval{200};
    std::chrono::milliseconds timeout{2000};  // of one request
  };
  explicit StatusWatcher(Options options);
  ~StatusWatcher();  // waits for a request under way, at most `timeout`
  StatusWatcher(const StatusWatcher&) = delete;
  StatusWatcher& operator=(const StatusWatcher&) = delete;

  // Readable when Take() has something; for poll(). Owned by the watcher.
  [[nodiscard]] int fd() const { return event_; }
  // The newest status since the last call. Thread-safe.
  std::optional<nlohmann::json> Take();
  // Ask now, not after the interval.
  void Hurry();

 private:
  void Run();
  const Options options_;
  int event_ = -1;
  Mutex mutex_;
  CondVar wake_;
  bool stop_ ELEPHAS_GUARDED_BY(mutex_) = false;
  bool hurry_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::optional<nlohmann::json> latest_ ELEPHAS_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses the others
};

}  // namespace elephas::cli
