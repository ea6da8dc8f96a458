#include "paramserver/rest/rest_metrics.h"

#include <array>

namespace elephas::rest {
namespace {

// Methods come from outside; a label must not.
std::string KnownMethod(std::string_view method) {
  constexpr std::array<std::string_view, 5> kKnown{"GET", "HEAD", "PUT", "POST", "DELETE"};
  for (const std::string_view known : kKnown) {
    if (method == known) return std::string(method);
  }
  return "other";
}

}  // namespace

void RestMetrics::Begin() {
  const MutexLock lock(mutex_);
  ++counts_.in_flight;
}

void RestMetrics::Count(std::string_view method, std::string_view route, int status,
                        std::uint64_t request_bytes, std::uint64_t reply_bytes,
                        std::chrono::steady_clock::duration time) {
  const MutexLock lock(mutex_);
  --counts_.in_flight;
  ++counts_.requests[{KnownMethod(method), std::string(route.empty() ? "unknown" : route), status}];
  if (route.empty()) return;  // what a stranger announces is not worth counting
  Bytes& bytes = counts_.bytes[std::string(route)];
  bytes.received += request_bytes;
  bytes.sent += reply_bytes;
  const double seconds = std::chrono::duration<double>(time).count();
  const bool good = status < 400;
  if (route == "/v1/parameters" && method == "GET" && good) counts_.pull_seconds.Observe(seconds);
  if (route != "/v1/updates" || method != "POST") return;
  if (good) {
    counts_.push_seconds.Observe(seconds);
  } else {
    ++counts_.updates_refused;
  }
}

void RestMetrics::CountUpdate(bool applied) {
  const MutexLock lock(mutex_);
  ++(applied ? counts_.updates_applied : counts_.updates_duplicate);
}

RestMetrics::Counts RestMetrics::Read() const {
  const MutexLock lock(mutex_);
  return counts_;
}

}  // namespace elephas::rest
