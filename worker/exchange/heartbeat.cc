#include "worker/exchange/heartbeat.h"

#include <utility>

#include "common/base/log.h"
#include "worker/exchange/job_client.h"

namespace elephas {

Heartbeat::Heartbeat(std::string server, std::string token, const JoinReply& joined)
    : worker_(joined.worker),
      incarnation_(joined.incarnation),
      period_(joined.lease_duration / 3),
      thread_(
          [this, server = std::move(server), token = std::move(token)] { Run(server, token); }) {}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Heartbeat::Run(const std::string& server, const std::string& token) {
  JobClient client(server, token);
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, period_, [&] { return stop_; })) {
    lock.unlock();
    const Status beat = client.Heartbeat(worker_, incarnation_);
    if (!beat.ok())
      LogDebug("heartbeat failed", {{"worker", worker_}, {"message", beat.message()}});
    lock.lock();
  }
}

}  // namespace elephas
