#include "operator/clean_pod_policy.h"

#include "common/names.h"

namespace elephas {

namespace {

constexpr std::int64_t kLeaveMs = 10'000;

}  // namespace

Cleanup PodsToClean(const Job& job, const Observed& observed, std::int64_t now_ms) {
  Cleanup cleanup;
  const std::string& policy = job.spec.run_policy.clean_pod_policy;
  if (policy == "None") return cleanup;
  const std::int64_t done = StatusTime(job.status, "completionTime").value_or(now_ms);
  const bool patient = ConditionIsTrue(job.status, names::kSucceeded) && now_ms < done + kLeaveMs;
  for (const Pod& pod : observed.pods) {
    if (pod.deleting || (!IsActive(pod) && policy != "All")) continue;
    if (patient && IsActive(pod)) {
      cleanup.later_ms = done + kLeaveMs;
    } else {
      cleanup.surplus.push_back(&pod);
    }
  }
  return cleanup;
}

}  // namespace elephas
