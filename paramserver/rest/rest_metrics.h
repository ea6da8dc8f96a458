// What the REST edge counts: requests, bytes, outcomes and times.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "common/base/mutex.h"
#include "common/telemetry/histogram.h"

namespace elephas::rest {

// Thread-safe.
class RestMetrics {
 public:
  struct RequestKey {
    std::string method, route;
    int code = 0;
    friend auto operator<=>(const RequestKey&, const RequestKey&) = default;
  };
  struct Bytes {
    std::uint64_t received = 0, sent = 0;
  };
  // Keys are routes, methods and codes that the server knows: bounded, whatever clients send.
  struct Counts {
    std::map<RequestKey, std::uint64_t> requests;
    std::map<std::string, Bytes> bytes;  // by route
    std::uint64_t in_flight = 0;
    std::uint64_t updates_applied = 0, updates_duplicate = 0, updates_refused = 0;
    // Answered requests for parameters, and updates with any outcome but refused.
    Histogram pull_seconds{kLatencyBounds}, push_seconds{kLatencyBounds};
  };

  // A request begins; Count() ends it.
  void Begin();
  // One answered request. `route` is the route's path, or "" when there was none.
  void Count(std::string_view method, std::string_view route, int status,
             std::uint64_t request_bytes, std::uint64_t reply_bytes,
             std::chrono::steady_clock::duration time);
  // Of an update that was not refused: Count() tells the others.
  void CountUpdate(bool applied);
  [[nodiscard]] Counts Read() const;

 private:
  mutable Mutex mutex_;
  Counts counts_ ELEPHAS_GUARDED_BY(mutex_);
};

}  // namespace elephas::rest
