#include "operator/rules/clean_pod_policy.h"

#include "common/base/names.h"

namespace elephas {

namespace {

constexpr std::int64_t kLeaveMs = 10'000;

// May a worker still hear from server 0 that the job is over?
bool ServerAnswers(const Observed& observed) {
  for (const Pod* server : LatestPods(observed.pods, PodRole::kServer)) {
    if (server->index == 0) return IsActive(*server);
  }
  return false;
}

// cleanPodPolicy None keeps what has ended by itself. A worker that came too late to hear the end
// waits five minutes for a server that is gone, in vain, and then fails.
void EndLateWorkers(const Observed& observed, bool patient, std::int64_t later_ms,
                    Cleanup& cleanup) {
  if (ServerAnswers(observed)) return;
  for (const Pod& pod : observed.pods) {
    if (pod.role != PodRole::kWorker || !IsActive(pod) || pod.deadline_seconds == kStopSeconds) {
      continue;
    }
    if (patient) {
      cleanup.later_ms = later_ms;
    } else if (pod.node.empty()) {
      cleanup.surplus.push_back(&pod);  // it has never run, so there is no log to keep
    } else {
      cleanup.stop.push_back(&pod);
    }
  }
}

}  // namespace

Cleanup PodsToClean(const Job& job, const Observed& observed, std::int64_t now_ms) {
  Cleanup cleanup;
  const std::string& policy = job.spec.run_policy.clean_pod_policy;
  const std::int64_t done = StatusTime(job.status, "completionTime").value_or(now_ms);
  const std::int64_t later = done + kLeaveMs;
  if (policy == "None") {
    EndLateWorkers(observed, now_ms < later, later, cleanup);
    return cleanup;
  }
  const bool succeeded = ConditionIsTrue(job.status, names::kSucceeded);
  for (const Pod& pod : observed.pods) {
    const bool runs = IsActive(pod) || pod.lingers;
    if (pod.deleting || (!runs && policy != "All")) continue;
    if (runs && succeeded && now_ms < later) {
      cleanup.later_ms = later;
    } else if (pod.lingers && !succeeded && policy != "All") {
      // Of a failure the log tells why.
      if (pod.deadline_seconds != kStopSeconds) cleanup.stop.push_back(&pod);
    } else {
      cleanup.surplus.push_back(&pod);
    }
  }
  return cleanup;
}

}  // namespace elephas
