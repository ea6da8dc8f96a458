// Aborts a communicator as soon as the server says that its generation is over: a lost peer does
// not leave the others waiting in a sum for the time that an operation may take.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "common/protocol/protocol.h"
#include "worker/group/collective.h"

namespace elephas {

// Watches on a thread of its own from construction to destruction, which may take as long as one
// question to the server (two seconds).
class GroupWatch {
 public:
  // `collective` must outlive it.
  GroupWatch(std::string server, std::string token, std::string worker, Incarnation incarnation,
             Generation generation, Collective& collective);
  GroupWatch(const GroupWatch&) = delete;
  GroupWatch& operator=(const GroupWatch&) = delete;
  ~GroupWatch();

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace elephas
