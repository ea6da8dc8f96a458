// Keeps a worker's leases alive while it computes.
#pragma once

#include <chrono>
#include <string>
#include <thread>

#include "common/base/mutex.h"
#include "common/protocol/protocol.h"

namespace elephas {

// Beats on a thread of its own from construction to destruction, three times per lease duration. A
// beat that fails is only tried again: whether the incarnation is over, the worker's own calls find
// out.
class Heartbeat {
 public:
  Heartbeat(std::string server, std::string token, const JoinReply& joined);
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;
  ~Heartbeat();

 private:
  void Run(const std::string& server, const std::string& token);
  // Waits for a period; true at once when the heartbeat ends.
  bool StopsWithinPeriod() ELEPHAS_REQUIRES(mutex_);

  const std::string worker_;
  const Incarnation incarnation_;
  const std::chrono::milliseconds period_;
  Mutex mutex_;
  CondVar changed_;
  bool stop_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace elephas
