// Keeps a worker's leases alive while it computes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

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

  const std::string worker_;
  const Incarnation incarnation_;
  const std::chrono::milliseconds period_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace elephas
