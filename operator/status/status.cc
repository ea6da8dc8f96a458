#include "operator/status/status.h"

#include <algorithm>
#include <cmath>

#include "common/base/names.h"
#include "common/base/timestamp.h"
#include "common/json/json_at.h"
#include "operator/rules/blocker.h"
#include "operator/rules/failure_policy.h"
#include "operator/status/conditions.h"

namespace elephas {

namespace {

using nlohmann::json;

// How long a death is worth mentioning while the job goes on.
constexpr std::int64_t kRecentMs = 600'000;

struct Counts {
  std::int64_t replicas = 0, active = 0, ready = 0, failed = 0;
};

Counts CountPods(const Observed& observed, PodRole role) {
  Counts counts;
  for (const Pod& pod : observed.pods) {
    if (pod.role != role) continue;
    if (pod.phase == PodPhase::kFailed) ++counts.failed;
    if (!IsActive(pod)) continue;
    ++counts.active;
    if (pod.ready) ++counts.ready;
  }
  counts.replicas = counts.active;
  return counts;
}

std::string_view RunningReason(TaskKind task) {
  switch (task) {
    case TaskKind::kTrain:
      return names::kTraining;
    case TaskKind::kEvaluate:
      return names::kEvaluating;
    case TaskKind::kPredict:
      return names::kPredicting;
  }
  return names::kTraining;
}

// The aspect "does it make progress", before it becomes conditions.
struct Activity {
  bool running = false;
  std::string reason, message;
  bool stalled = false;
};

Activity Starting(std::string_view reason, std::string message) {
  return {false, std::string(reason), std::move(message), false};
}

Activity ActivityOf(const Job& job, const Observed& observed, std::int64_t now_ms) {
  const Counts servers = CountPods(observed, PodRole::kServer);
  const Counts workers = CountPods(observed, PodRole::kWorker);
  const bool runs = servers.ready >= job.spec.parameter_servers.replicas && workers.ready > 0;
  const auto blocker = FindBlocker(job, observed, now_ms);
  // While workers work, one that cannot start is worth telling, and the job goes on.
  if (blocker) return {runs, blocker->reason, blocker->message, blocker->needs_a_person};
  const std::string of_workers = std::to_string(workers.ready) + " of " +
                                 std::to_string(job.spec.workers.replicas) + " workers run";
  if (runs) {
    const Pod* dead = LastDeath(observed);
    if (dead != nullptr && dead->role == PodRole::kWorker && dead->end &&
        now_ms - dead->end->finished_ms < kRecentMs) {
      const bool memory = dead->end->reason == "OOMKilled";
      return {true, std::string(memory ? names::kWorkerOutOfMemory : names::kWorkerFailing),
              of_workers + "; " + dead->name + " " + DescribeEnd(*dead) + " and was replaced (" +
                  std::to_string(CountFailures(observed)) + " of " +
                  std::to_string(job.spec.run_policy.backoff_limit) + " restarts); " +
                  Advice(job, *dead),
              false};
    }
    return {true, std::string(RunningReason(job.spec.task)), of_workers, false};
  }
  if (servers.ready < job.spec.parameter_servers.replicas) {
    return Starting(names::kServersStarting,
                    std::to_string(servers.ready) + " of " +
                        std::to_string(job.spec.parameter_servers.replicas) +
                        " parameter servers are ready");
  }
  return Starting(names::kWorkersStarting, of_workers);
}

void SetEnded(const JobEnd& end, Conditions& conditions) {
  conditions.Set(names::kRunning, "False", names::kFinished, "the job has finished");
  if (end.succeeded) {
    conditions.Set(names::kSucceeded, "True", end.reason, end.message);
    conditions.Set(names::kFailed, "False", names::kJobSucceeded, "the job has succeeded");
  } else {
    conditions.Set(names::kSucceeded, "False", names::kFailed, "the job has failed");
    conditions.Set(names::kFailed, "True", end.reason, end.message);
  }
}

void SetUnfinished(Conditions& conditions) {
  conditions.Set(names::kSucceeded, "Unknown", names::kNotFinished, "the job has not finished");
  conditions.Set(names::kFailed, "False", names::kNotFinished, "the job has not finished");
}

bool WasSuspended(const json& before) {
  const json* condition = FindCondition(before, names::kSuspended);
  return condition != nullptr &&
         (Says(*condition, "status", "True") || Says(*condition, "reason", names::kJobResumed));
}

void SetSuspended(const json& before, bool suspended, Conditions& conditions) {
  if (suspended) {
    conditions.Set(names::kSuspended, "True", names::kJobSuspended,
                   "spec.runPolicy.suspend is true; set it to false to go on");
  } else if (WasSuspended(before)) {
    conditions.Set(names::kSuspended, "False", names::kJobResumed,
                   "spec.runPolicy.suspend is false");
  } else {
    conditions.Set(names::kSuspended, "False", names::kNotSuspended,
                   "spec.runPolicy.suspend is false");
  }
}

void SetStalled(bool stalled, const std::string& reason, const std::string& message,
                Conditions& conditions) {
  if (stalled) {
    conditions.Set(names::kStalled, "True", reason, message);
  } else {
    conditions.Set(names::kStalled, "False", names::kNothingToDo, "nobody has to do anything");
  }
}

// How many digits of a rate or an estimate mean something; more would be a write for nothing.
double Rounded(double value, int digits = 3) {
  if (value == 0 || !std::isfinite(value)) return 0;
  const double scale = std::pow(10.0, digits - 1 - std::floor(std::log10(std::abs(value))));
  const double rounded = std::round(value * scale) / scale;
  return std::isfinite(rounded) ? rounded : value;  // at the ends of what a double can hold
}

void AddProgress(const Progress& progress, bool over, std::int64_t now_ms, json& status) {
  status["epoch"] = progress.epoch;
  status["epochs"] = progress.epochs;
  // 100 only when nothing is left.
  const double percent = std::floor(100 * std::clamp(progress.done, 0.0, 1.0) + 1e-9);
  status["progress"] = static_cast<std::int64_t>(percent);
  if (progress.metrics.is_object() && !progress.metrics.empty()) {
    status["metrics"] = progress.metrics;
    // A column of kubectl's; all digits are in the metrics.
    const auto loss = progress.metrics.find("loss");
    if (loss != progress.metrics.end()) {
      status["loss"] = loss->is_number() ? json(Rounded(loss->get<double>(), 5)) : *loss;
    }
  }
  if (!progress.outputs.empty()) status["outputs"] = progress.outputs;
  if (progress.examples_per_second > 0) {
    status["examplesPerSecond"] = Rounded(progress.examples_per_second);
  }
  for (const Progress::Warning& warning : progress.warnings) {
    status["warnings"].push_back({{"reason", warning.reason}, {"message", warning.message}});
  }
  if (!progress.transport.empty()) {
    status["transport"] = {{"now", progress.transport}};
    if (progress.transport == "rest" && !progress.transport_reason.empty()) {
      status["transport"]["reason"] = progress.transport_reason;
    }
  }
  if (!over && progress.seconds_remaining && *progress.seconds_remaining >= 0 &&
      *progress.seconds_remaining < 1e9) {
    const double done_ms =
        static_cast<double>(now_ms) + 1000 * Rounded(*progress.seconds_remaining);
    status["estimatedCompletionTime"] =
        kube::TimeText(static_cast<std::int64_t>(std::round(done_ms / 10'000) * 10'000));
  }
}

// What was told last, as long as nothing newer is known; of the type that the API takes only.
void KeepProgress(const json& before, json& status) {
  const auto keep = [&](const char* field, bool (*fits)(const json&)) {
    const json& value = MemberOf(before, field);
    if (!status.contains(field) && fits(value)) status[field] = value;
  };
  const auto whole = [](const json& value) { return value.is_number_integer(); };
  for (const char* field : {"epoch", "epochs", "progress"}) keep(field, whole);
  keep("loss", [](const json& value) { return value.is_number(); });
  for (const char* field : {"outputs", "warnings"}) {
    keep(field, [](const json& value) { return value.is_array(); });
  }
  for (const char* field : {"metrics", "transport"}) {
    keep(field, [](const json& value) { return value.is_object(); });
  }
}

void AddPods(const Job& job, const Observed& observed, json& status) {
  const Counts servers = CountPods(observed, PodRole::kServer);
  const Counts workers = CountPods(observed, PodRole::kWorker);
  status["workers"] = {
      {"replicas", workers.replicas},
      {"active", workers.active},
      {"ready", workers.ready},
      {"failed", workers.failed},
      {"summary", std::to_string(workers.ready) + "/" + std::to_string(job.spec.workers.replicas)}};
  status["parameterServers"] = {{"replicas", servers.replicas}, {"ready", servers.ready}};
  // GCC 12 sees an overflow that is not there in a chain of operator+.
  std::string selector(names::kAppInstance);
  selector.append("=").append(job.name);
  selector.append(",").append(names::kJobUid).append("=").append(job.uid);
  selector.append(",").append(names::kAppComponent).append("=").append(names::kWorker);
  status["selector"] = std::move(selector);
}

// A finished job: its conditions stay, only the pods that are left are counted anew.
json StatusAfterTheEnd(const Job& job, const Observed& observed) {
  json status = job.status;
  AddPods(job, observed, status);
  status["observedGeneration"] = job.generation;
  return status;
}

std::string_view StateOf(const Plan& plan, const Activity& activity, bool seen) {
  if (plan.end) return plan.end->succeeded ? "Succeeded" : "Failed";
  if (plan.suspended) return "Suspended";
  if (activity.running) return "Running";
  return activity.stalled || !seen ? "Pending" : "Starting";
}

// What was not warned of before.
void AddWarnings(const json& before, const json& after, std::vector<JobEvent>& events) {
  const json& old = MemberOf(before, "warnings");
  for (const json& warning : MemberOf(after, "warnings")) {
    const bool known = old.is_array() && std::find(old.begin(), old.end(), warning) != old.end();
    if (known) continue;
    events.push_back({true, TextOf(warning, "reason"), TextOf(warning, "message")});
  }
}

}  // namespace

json MakeStatus(const Job& job, const Observed& observed, const Plan& plan, std::int64_t now_ms) {
  if (IsFinished(job)) return StatusAfterTheEnd(job, observed);
  const json& before = job.status;
  json status{{"observedGeneration", job.generation}};
  Conditions conditions(before, job.generation, now_ms);
  const Activity activity =
      plan.end || plan.suspended ? Activity{} : ActivityOf(job, observed, now_ms);

  const bool created = !observed.pods.empty() || ConditionIsTrue(before, names::kCreated) ||
                       (plan.apply_objects && !plan.create.empty() && !observed.refusal);
  conditions.Set(names::kCreated, created ? "True" : "False",
                 created ? names::kObjectsCreated : names::kNotCreated,
                 created ? "the job's Secret, Service and pods were created"
                         : "the job's objects have not been created");
  if (plan.end) {
    SetEnded(*plan.end, conditions);
    SetSuspended(before, false, conditions);
    SetStalled(!plan.end->succeeded, plan.end->reason, plan.end->message, conditions);
  } else if (plan.suspended) {
    conditions.Set(names::kRunning, "False", names::kSuspended, "the job is suspended");
    SetUnfinished(conditions);
    SetSuspended(before, true, conditions);
    SetStalled(false, "", "", conditions);
  } else {
    conditions.Set(names::kRunning, activity.running ? "True" : "False", activity.reason,
                   activity.message);
    SetUnfinished(conditions);
    SetSuspended(before, false, conditions);
    SetStalled(activity.stalled, activity.reason, activity.message, conditions);
  }
  status["conditions"] = conditions.json();
  status["state"] = StateOf(plan, activity, created);

  if (!plan.suspended) {
    const bool started = StatusTime(before, "startTime").has_value();
    status["startTime"] = started ? before["startTime"] : json(kube::TimeText(now_ms));
    if (ConditionIsTrue(before, names::kSuspended)) status["startTime"] = kube::TimeText(now_ms);
  }
  if (plan.end) status["completionTime"] = kube::TimeText(now_ms);
  const auto& progress = plan.end && plan.end->progress ? plan.end->progress : observed.progress;
  if (progress) AddProgress(*progress, plan.end.has_value(), now_ms, status);
  KeepProgress(before, status);
  if (plan.end && plan.end->succeeded) {
    status["progress"] = 100;
    status["model"] = job.spec.output_uri;
  }
  AddPods(job, observed, status);
  if (job.problems.empty()) {
    const std::int64_t restarts = CountFailures(observed);
    if (restarts > 0 || before.contains("restarts")) status["restarts"] = restarts;
  }
  return status;
}

json MakeInternalErrorStatus(const json& before, std::int64_t generation, const std::string& why,
                             std::int64_t now_ms) {
  const bool runs = ConditionIsTrue(before, names::kRunning);
  const bool created = runs || ConditionIsTrue(before, names::kCreated);
  json status{{"observedGeneration", generation}};
  Conditions conditions(before, generation, now_ms);
  conditions.Set(names::kCreated, created ? "True" : "False",
                 created ? names::kObjectsCreated : names::kNotCreated,
                 created ? "the job's Secret, Service and pods were created"
                         : "the job's objects have not been created");
  if (runs) {
    conditions.Set(names::kRunning, "True", names::kInternalError,
                   "the pods run, but the operator does not look after them: " + why);
    SetUnfinished(conditions);
  } else {
    SetEnded({false, std::string(names::kInternalError), why, std::nullopt}, conditions);
    status["completionTime"] = kube::TimeText(now_ms);
  }
  SetSuspended(before, false, conditions);
  SetStalled(true, std::string(names::kInternalError), why, conditions);
  status["conditions"] = conditions.json();
  status["state"] = runs ? "Running" : "Failed";
  if (StatusTime(before, "startTime")) status["startTime"] = before["startTime"];
  return status;
}

JobEvent ReplacementEvent(const CreatePod& pod, const std::string& name) {
  return {
      true,
      std::string(pod.role == PodRole::kWorker ? names::kWorkerReplaced : names::kServerReplaced),
      pod.replaces + " " + pod.why + "; " + name + " takes its place"};
}

std::vector<JobEvent> EventsOf(const json& before, const json& after) {
  std::vector<JobEvent> events;
  AddWarnings(before, after, events);
  for (const json& condition : MemberOf(after, "conditions")) {
    const std::string type = TextOf(condition, "type"), status = TextOf(condition, "status");
    const std::string reason = TextOf(condition, "reason");
    const json* old = FindCondition(before, type);
    if (old != nullptr && Says(*old, "status", status) && Says(*old, "reason", reason)) continue;
    // Of each change the condition that says most; the others follow from it.
    const bool resumed = type == names::kSuspended && reason == names::kJobResumed;
    const bool told_elsewhere =
        type == names::kStalled ||
        (type == names::kRunning && (reason == names::kFinished || reason == names::kSuspended)) ||
        (type != names::kRunning && status != "True" && !resumed);
    if (told_elsewhere) continue;
    const json* stalled = FindCondition(after, names::kStalled);
    const bool warning =
        type == names::kFailed || reason == names::kWorkerOutOfMemory ||
        reason == names::kWorkerFailing || reason == names::kServerRestarting ||
        (type == names::kRunning && stalled != nullptr && Says(*stalled, "status", "True"));
    events.push_back({warning, reason, TextOf(condition, "message")});
  }
  return events;
}

}  // namespace elephas
