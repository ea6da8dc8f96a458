#include "cli/run/status_watcher.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "common/http/client.h"
#include "common/json/bounded_json.h"

namespace elephas::cli {

StatusWatcher::StatusWatcher(Options options)
    : options_(std::move(options)),
      event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { Run(); }) {}

StatusWatcher::~StatusWatcher() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.NotifyOne();
  thread_.join();
  close(event_);
}

std::optional<nlohmann::json> StatusWatcher::Take() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t drained = read(event_, &count, sizeof count);
  const MutexLock lock(mutex_);
  return std::exchange(latest_, std::nullopt);
}

void StatusWatcher::Hurry() {
  {
    const MutexLock lock(mutex_);
    hurry_ = true;
  }
  wake_.NotifyOne();
}

void StatusWatcher::Run() {
  constexpr std::size_t kMaxStatus = std::size_t{4} << 20;  // of jobs with thousands of workers
  HttpClient client({.base_url = options_.url, .token = options_.token, .max_body = kMaxStatus});
  MutexLock lock(mutex_);
  while (!stop_) {
    hurry_ = false;
    lock.Unlock();
    const auto reply = client.Send("GET", "/v1/status", {}, {}, options_.timeout);
    // A server that is starting, restarting or gone has no status; the supervisor sees its death.
    auto status = reply.ok() && reply->status == 200
                      ? ParseBoundedJson(reply->body, JsonLimitsFor(reply->body.size()))
                      : Result<nlohmann::json>(Unavailable("no status"));
    lock.Lock();
    if (status.ok() && status->is_object()) {
      latest_ = std::move(status).value();
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t told = write(event_, &one, sizeof one);
    }
    const auto next = std::chrono::steady_clock::now() + options_.interval;
    while (!stop_ && !hurry_ && wake_.WaitUntil(mutex_, next)) {
    }
  }
}

}  // namespace elephas::cli
