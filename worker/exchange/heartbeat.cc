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
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

bool Heartbeat::StopsWithinPeriod() {
  const auto deadline = std::chrono::steady_clock::now() + period_;
  while (!stop_ && changed_.WaitUntil(mutex_, deadline)) {
  }
  return stop_;
}

void Heartbeat::Run(const std::string& server, const std::string& token) {
  JobClient client(server, token);
  MutexLock lock(mutex_);
  while (!StopsWithinPeriod()) {
    lock.Unlock();
    const Status beat = client.Heartbeat(worker_, incarnation_);
    if (!beat.ok())
      LogDebug("heartbeat failed", {{"worker", worker_}, {"message", beat.message()}});
    lock.Lock();
  }
}

}  // namespace elephas
