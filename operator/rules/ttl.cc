#include "operator/rules/ttl.h"

namespace elephas {

std::optional<std::int64_t> ExpiryMs(const Job& job) {
  const auto ttl = job.spec.run_policy.ttl_seconds_after_finished;
  const auto done = StatusTime(job.status, "completionTime");
  if (!ttl || !done || !IsFinished(job)) return std::nullopt;
  return *done + *ttl * 1000;
}

}  // namespace elephas
