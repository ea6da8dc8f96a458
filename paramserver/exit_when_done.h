// When a server in a pod ends by itself, and what it leaves behind for whoever reads its pod.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/http/client.h"
#include "paramserver/job/watch_service.h"

namespace elephas {

// The last status without what is long: history's newest values stand for `metrics`. At most 4096
// bytes, the bound of a termination message; the failure's message and the outputs' names give way.
std::string TerminationMessage(const nlohmann::json& status);

// Looks whether the job is over. Server 0 asks its own service, and stays until its workers know
// (but not for ever) and the other servers had time to see it; those ask server 0. Not thread-safe.
class DoneWatch {
 public:
  struct Options {
    std::string coordinator_url = {};  // of server 0; empty: this is server 0
    std::string token = {};
    std::int64_t servers = 1;
    std::chrono::milliseconds tell_workers{30'000};
    std::chrono::milliseconds tell_servers{3'000};
    std::chrono::milliseconds ask_interval{1'000};
  };
  DoneWatch(const WatchService& service, Options options);

  // Cheap; asks server 0 at most once per interval, and then waits up to 2 s for its answer.
  bool Done();

 private:
  using Time = std::chrono::steady_clock::time_point;
  bool OverHere(Time now);
  bool OverThere(Time now);

  const WatchService& service_;
  const Options options_;
  std::optional<HttpClient> client_;
  std::optional<Time> over_since_;
  Time ask_again_;
};

}  // namespace elephas
