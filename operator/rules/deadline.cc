#include "operator/rules/deadline.h"

#include "common/base/names.h"

namespace elephas {

std::optional<std::int64_t> DeadlineMs(const Job& job) {
  const auto limit = job.spec.run_policy.active_deadline_seconds;
  // A suspended job does not run; resuming it starts the clock anew.
  const auto start = StatusTime(job.status, "startTime");
  if (!limit || !start || job.spec.run_policy.suspend) return std::nullopt;
  return *start + *limit * 1000;
}

std::optional<JobEnd> DeadlineExceeded(const Job& job, std::int64_t now_ms) {
  const auto deadline = DeadlineMs(job);
  if (!deadline || now_ms < *deadline) return std::nullopt;
  return JobEnd{false, std::string(names::kDeadlineExceeded),
                "ran for longer than spec.runPolicy.activeDeadlineSeconds: " +
                    std::to_string(*job.spec.run_policy.active_deadline_seconds) + " s",
                std::nullopt};
}

}  // namespace elephas
