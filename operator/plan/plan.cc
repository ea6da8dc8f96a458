#include "operator/plan/plan.h"

#include <algorithm>

#include "common/base/names.h"
#include "operator/plan/pod_plan.h"
#include "operator/pods/desired_pods.h"
#include "operator/rules/blocker.h"
#include "operator/rules/clean_pod_policy.h"
#include "operator/rules/deadline.h"
#include "operator/rules/failure_policy.h"
#include "operator/rules/outcome.h"
#include "operator/rules/refusal_policy.h"
#include "operator/rules/suspend.h"
#include "operator/rules/ttl.h"

namespace elephas {

namespace {

using nlohmann::json;

void WakeAt(Plan& plan, std::optional<std::int64_t> when_ms) {
  if (when_ms) plan.wake_ms = std::min(plan.wake_ms.value_or(*when_ms), *when_ms);
}

Plan Ended(JobEnd end) {
  Plan plan;
  plan.end = std::move(end);
  return plan;
}

Plan AfterTheEnd(const Job& job, const Observed& observed, std::int64_t now_ms) {
  Plan plan;
  const Cleanup cleanup = PodsToClean(job, observed, now_ms);
  for (const Pod* pod : cleanup.surplus) {
    plan.remove.push_back({pod->name, pod->uid, "the job has finished"});
  }
  for (const Pod* pod : cleanup.stop) {
    plan.stop.push_back({pod->name, pod->uid, "the job has finished"});
  }
  WakeAt(plan, cleanup.later_ms);
  if (const auto expiry = ExpiryMs(job)) {
    plan.delete_job = now_ms >= *expiry;
    if (!plan.delete_job) WakeAt(plan, expiry);
  }
  return plan;
}

Plan Suspended(const Observed& observed) {
  Plan plan;
  plan.suspended = true;
  for (const Pod* pod : PodsToSuspend(observed)) {
    plan.remove.push_back({pod->name, pod->uid, "the job is suspended"});
  }
  return plan;
}

std::optional<JobEnd> CannotStart(const Job& job, const Settings& settings,
                                  const Observed& observed) {
  if (const Status pods = CheckPods(job, settings); !pods.ok()) {
    return JobEnd{
        false,
        std::string(pods.code() == Code::kNotFound ? names::kNoVolume : names::kTemplateInvalid),
        pods.message(), std::nullopt};
  }
  if (!observed.refusal) return std::nullopt;
  const Refusal& refusal = *observed.refusal;
  if (!IsForGood(refusal)) return std::nullopt;
  const std::string what = refusal.object + ": " + refusal.status.message();
  if (refusal.status.code() == Code::kInvalid) {
    return JobEnd{false, std::string(names::kPodInvalid),
                  what + "; correct the template and create the job anew", std::nullopt};
  }
  return JobEnd{false, std::string(names::kNameTaken), what, std::nullopt};
}

Plan Run(const Job& job, const Observed& observed, std::int64_t now_ms) {
  Plan plan;
  PlanPods(job, observed, now_ms, plan);
  WakeAt(plan, DeadlineMs(job));
  WakeAt(plan, NextPatienceEndMs(observed, now_ms));
  if (observed.refusal && now_ms < RetryAtMs(*observed.refusal)) {
    if (WaitsForItsTime(*observed.refusal)) plan.create.clear();  // not with every event
    WakeAt(plan, RetryAtMs(*observed.refusal));
  }
  return plan;
}

}  // namespace

Plan MakePlan(const Job& job, const Settings& settings, const Observed& observed,
              std::int64_t now_ms) {
  if (IsFinished(job)) return AfterTheEnd(job, observed, now_ms);
  if (!job.problems.empty()) {
    const auto reason = job.only_template_problems ? names::kTemplateInvalid : names::kInvalidSpec;
    return Ended({false, std::string(reason), job.problems, std::nullopt});
  }
  if (auto end = Outcome(job, observed)) return Ended(*std::move(end));
  if (auto end = DeadlineExceeded(job, now_ms)) return Ended(*std::move(end));
  if (job.spec.run_policy.suspend) return Suspended(observed);
  if (auto end = TooManyFailures(job, observed)) return Ended(*std::move(end));
  if (auto end = CannotStart(job, settings, observed)) return Ended(*std::move(end));
  return Run(job, observed, now_ms);
}

json ToJson(const Plan& plan) {
  json out = json::object();
  if (plan.apply_objects) out["applyObjects"] = true;
  for (const CreatePod& pod : plan.create) {
    json entry{{"role", Word(pod.role)}, {"index", pod.index}, {"attempt", pod.attempt}};
    if (pod.failures > 0) entry["failures"] = pod.failures;
    if (pod.failures_in_a_row > 1) entry["inARow"] = pod.failures_in_a_row;
    if (!pod.replaces.empty()) entry["replaces"] = pod.replaces + " " + pod.why;
    out["create"].push_back(std::move(entry));
  }
  for (const DeletePod& pod : plan.remove) out["remove"].push_back(pod.name + " " + pod.why);
  for (const StopPod& pod : plan.stop) out["stop"].push_back(pod.name + " " + pod.why);
  for (const std::string& name : plan.give_back) out["giveBack"].push_back(name);
  if (plan.delete_job) out["deleteJob"] = true;
  if (plan.suspended) out["suspended"] = true;
  if (plan.end) {
    out["end"] = {{"succeeded", plan.end->succeeded},
                  {"reason", plan.end->reason},
                  {"message", plan.end->message}};
  }
  if (plan.wake_ms) out["wake"] = *plan.wake_ms;
  return out;
}

}  // namespace elephas
