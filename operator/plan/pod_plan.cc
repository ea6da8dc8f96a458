#include "operator/plan/pod_plan.h"

#include <algorithm>
#include <map>

#include "common/base/program.h"
#include "operator/rules/failure_policy.h"
#include "operator/rules/outcome.h"
#include "operator/rules/replacement_backoff.h"

namespace elephas {

namespace {

// Names have room for four digits.
constexpr std::int64_t kAttempts = 10'000;
// A pod that is still there so long after its grace is on a node that does not answer.
constexpr std::int64_t kDeadNodeMs = 10'000;
// A node that has not ended a pod so long after it was asked to, grace included, does not do so.
constexpr std::int64_t kStopPatienceMs = 120'000;
// Failed pods that stay for their logs.
constexpr std::size_t kKeptFailures = 10;

// Has the pod done what it was for?
bool IsDone(const Pod& pod) {
  if (pod.role == PodRole::kServer) return EndedWithJob(pod);
  // Told that the job is over; the server's own word follows.
  return pod.end && (pod.end->exit_code == kExitSuccess || pod.end->exit_code == kExitJobFailed);
}

std::string WhyLost(const Pod& pod) {
  if (pod.deleting) return "is being deleted";
  if (pod.disrupted) {
    const std::string what = pod.reason.empty() ? "was disrupted" : "was lost (" + pod.reason + ")";
    return pod.message.empty() ? what : what + ": " + pod.message;
  }
  return DescribeEnd(pod);
}

CreatePod Replacement(const Pod& lost, const Observed& observed) {
  return {lost.role, lost.index,    (lost.attempt + 1) % kAttempts, FailuresUpTo(lost),
          lost.name, WhyLost(lost), FailuresInARow(lost, observed)};
}

void WakeAt(std::int64_t when_ms, Plan& plan) {
  plan.wake_ms = std::min(plan.wake_ms.value_or(when_ms), when_ms);
}

// Two servers of one index would answer to one name and write to one checkpoint folder, so a server
// that is being deleted is waited for, but not for ever. Workers have names of their own.
bool MustWaitFor(const Pod& pod, std::int64_t now_ms, Plan& plan) {
  if (pod.role != PodRole::kServer || !pod.deleting) return false;
  const std::int64_t until = pod.deleted_by_ms + kDeadNodeMs;
  if (now_ms >= until) return false;
  WakeAt(until, plan);
  return true;
}

// The leases of what is lost go to others at once; its replacement may have to wait.
void PlanReplacement(const Pod& lost, const Observed& observed, std::int64_t now_ms, Plan& plan) {
  if (MustWaitFor(lost, now_ms, plan)) return;
  if (lost.role == PodRole::kWorker) plan.give_back.push_back(lost.name);
  const std::int64_t replace_at = ReplaceAtMs(lost, observed, now_ms);
  if (now_ms < replace_at) {
    WakeAt(replace_at, plan);
  } else {
    plan.create.push_back(Replacement(lost, observed));
  }
}

// A pod whose container of ours has ended is over, whatever else runs in it: its room is needed,
// and its log as well, so what runs is ended and the pod stays. Where its node does not do that,
// the pod goes.
void PlanLingering(const Pod& pod, bool replaced, std::int64_t now_ms, Plan& plan) {
  if (pod.deadline_seconds != kStopSeconds) {
    plan.stop.push_back({pod.name, pod.uid, "its container has ended"});
    return;
  }
  const std::int64_t until = DeathTimeMs(pod) + kStopPatienceMs;
  if (now_ms < until) {
    WakeAt(until, plan);
  } else if (replaced) {
    plan.remove.push_back({pod.name, pod.uid, "could not be stopped"});
  }
}

void PlanRole(PodRole role, std::int64_t count, const Observed& observed, std::int64_t now_ms,
              Plan& plan) {
  std::map<std::int64_t, const Pod*> latest;
  for (const Pod* pod : LatestPods(observed.pods, role)) latest[pod->index] = pod;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto found = latest.find(i);
    if (found == latest.end()) {
      plan.create.push_back({role, i, 0, 0, "", ""});
    } else if (!IsActive(*found->second) && !IsDone(*found->second)) {
      PlanReplacement(*found->second, observed, now_ms, plan);
    }
  }
  for (const Pod& pod : observed.pods) {
    if (pod.role != role) continue;
    const auto found = latest.find(pod.index);
    if (pod.lingers && !pod.deleting && !IsDone(pod)) {
      PlanLingering(pod, found != latest.end() && found->second != &pod, now_ms, plan);
    }
    if (!IsActive(pod)) continue;
    if (pod.index >= count) {
      plan.remove.push_back({pod.name, pod.uid, "is surplus"});
    } else if (found != latest.end() && found->second != &pod) {
      plan.remove.push_back({pod.name, pod.uid, "was replaced by " + found->second->name});
    }
  }
}

// Every server is ready, or has been: then there are workers already.
bool WorkersMayStart(const Job& job, const Observed& observed) {
  std::int64_t ready = 0;
  for (const Pod* pod : LatestPods(observed.pods, PodRole::kServer)) {
    if (pod->index < job.spec.parameter_servers.replicas && (pod->ready || IsDone(*pod))) ++ready;
  }
  return ready == job.spec.parameter_servers.replicas ||
         std::any_of(observed.pods.begin(), observed.pods.end(),
                     [](const Pod& pod) { return pod.role == PodRole::kWorker; });
}

void PruneFailures(const Observed& observed, Plan& plan) {
  std::vector<const Pod*> failed;
  for (const Pod& pod : observed.pods) {
    if (pod.phase == PodPhase::kFailed && !pod.deleting) failed.push_back(&pod);
  }
  if (failed.size() <= kKeptFailures) return;
  // The oldest first; the last of its index carries the count until its replacement is there.
  std::stable_sort(failed.begin(), failed.end(),
                   [](const Pod* a, const Pod* b) { return a->created_ms < b->created_ms; });
  std::size_t surplus = failed.size() - kKeptFailures;
  for (const Pod* pod : failed) {
    if (surplus == 0) break;
    const bool replaced =
        std::any_of(observed.pods.begin(), observed.pods.end(), [&](const Pod& other) {
          return other.role == pod->role && other.index == pod->index &&
                 other.attempt > pod->attempt;
        });
    if (!replaced) continue;
    plan.remove.push_back({pod->name, pod->uid, "failed long ago"});
    --surplus;
  }
}

}  // namespace

void PlanPods(const Job& job, const Observed& observed, std::int64_t now_ms, Plan& plan) {
  plan.apply_objects = true;
  PlanRole(PodRole::kServer, job.spec.parameter_servers.replicas, observed, now_ms, plan);
  if (WorkersMayStart(job, observed)) {
    PlanRole(PodRole::kWorker, job.spec.workers.replicas, observed, now_ms, plan);
  }
  PruneFailures(observed, plan);
}

}  // namespace elephas
