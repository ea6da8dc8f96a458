// What the REST edge counts, in Prometheus' text format.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace elephas::rest {

// Thread-safe.
class RestMetrics {
 public:
  RestMetrics();
  ~RestMetrics();
  // A request begins; Count() ends it.
  void Begin();
  // One answered request. `route` is the route's path, or "" when there was none.
  void Count(std::string_view method, std::string_view route, int status,
             std::uint64_t request_bytes, std::uint64_t reply_bytes);
  // Everything counted so far, and what `status` (/v1/status) says of the job.
  std::string Text(bool ready, const nlohmann::json& status);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace elephas::rest
