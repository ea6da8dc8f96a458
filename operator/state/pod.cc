#include "operator/state/pod.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "common/base/names.h"
#include "common/base/timestamp.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "operator/state/owner.h"

namespace elephas {

namespace {

using nlohmann::json;

// What others say in a pod's status. The kubelet keeps a message below 4 KiB; whoever may write
// statuses need not.
constexpr std::size_t kMaxText = 4'096;
constexpr std::size_t kMaxMessage = 8'192;

std::string Sentence(const json& object, const char* pointer) {
  return Shortened(TextAt(object, pointer), kMaxText);
}

std::int64_t TimeAt(const json& object, const char* pointer) {
  return kube::ParseTime(TextAt(object, pointer)).value_or(0);
}

// What stands in a label or an annotation of ours; a pod with a larger one is none of ours.
constexpr std::int64_t kMaxIndex = 999'999;
constexpr std::int64_t kMaxAttempt = 9'999;
constexpr std::int64_t kMaxFailures = 999'999;

std::optional<std::int64_t> Number(const json& map, std::string_view key, std::int64_t most) {
  const json& member = MemberOf(map, key);
  if (!member.is_string()) return std::nullopt;
  const auto& text = member.get_ref<const std::string&>();
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > most) {
    return std::nullopt;
  }
  return value;
}

std::optional<ContainerEnd> EndAt(const json& state, const char* pointer) {
  const json& terminated = At(state, pointer);
  if (!terminated.is_object()) return std::nullopt;
  ContainerEnd end;
  end.exit_code = static_cast<int>(
      std::clamp<std::int64_t>(IntegerAt(terminated, "/exitCode"), INT32_MIN, INT32_MAX));
  end.reason = Sentence(terminated, "/reason");
  // Its end says why.
  end.message = Utf8Tail(TextAt(terminated, "/message"), kMaxMessage);
  end.finished_ms = TimeAt(terminated, "/finishedAt");
  return end;
}

const json* Named(const json& list, std::string_view key, std::string_view name) {
  if (!list.is_array()) return nullptr;
  for (const json& entry : list) {
    if (Says(entry, key, name)) return &entry;
  }
  return nullptr;
}

void ReadConditions(const json& conditions, Pod& pod) {
  if (const json* scheduled = Named(conditions, "type", "PodScheduled");
      scheduled != nullptr && Says(*scheduled, "status", "False") &&
      Says(*scheduled, "reason", "Unschedulable")) {
    pod.unschedulable = Sentence(*scheduled, "/message");
    if (pod.unschedulable.empty()) pod.unschedulable = "the scheduler does not say why";
  }
  if (const json* ready = Named(conditions, "type", "Ready"); ready != nullptr) {
    pod.ready = Says(*ready, "status", "True");
  }
  if (const json* disruption = Named(conditions, "type", "DisruptionTarget");
      disruption != nullptr && Says(*disruption, "status", "True")) {
    pod.disrupted = true;
    if (pod.message.empty()) pod.message = Sentence(*disruption, "/message");
  }
}

void ReadGates(const json& object, Pod& pod) {
  const json& gates = At(object, "/spec/schedulingGates");
  if (!gates.is_array()) return;
  for (const json& gate : gates) pod.gates.push_back(TextAt(gate, "/name"));
}

// Is it one of those init containers that run beside the others, and may be started again?
bool IsSidecar(const json& object, const std::string& name) {
  const json* spec = Named(At(object, "/spec/initContainers"), "name", name);
  return spec != nullptr && TextAt(*spec, "/restartPolicy") == "Always";
}

// The first init container that has ended badly, for good or before it was started again.
void ReadInitFailure(const json& object, const json& status, Pod& pod) {
  if (pod.running_ms != 0 || pod.end || pod.previous_end) return;
  const json& containers = At(status, "/initContainerStatuses");
  if (!containers.is_array()) return;
  for (const json& init : containers) {
    if (At(init, "/state/running").is_object() && IsSidecar(object, TextAt(init, "/name")))
      continue;
    const bool over = At(init, "/state/terminated").is_object();
    const auto end = EndAt(init, over ? "/state/terminated" : "/lastState/terminated");
    if (!end || end->exit_code == 0) continue;
    pod.init_failure = InitFailure{TextAt(init, "/name"), *end};
    return;
  }
}

// Does another container than ours run, or wait to run again?
bool OthersRun(const json& status, const Pod& pod) {
  const json& containers = At(status, "/containerStatuses");
  return containers.is_array() &&
         std::any_of(containers.begin(), containers.end(), [&](const json& container) {
           return TextAt(container, "/name") != Word(pod.role) &&
                  !At(container, "/state/terminated").is_object();
         });
}

// The first init container that is in the way; then ours.
void ReadContainers(const json& status, Pod& pod) {
  for (const json& init : At(status, "/initContainerStatuses")) {
    const std::string reason = Sentence(init, "/state/waiting/reason");
    if (reason.empty() || reason == "PodInitializing") continue;
    pod.waiting_reason = reason;
    pod.waiting_message = Sentence(init, "/state/waiting/message");
    break;
  }
  const json* ours = Named(At(status, "/containerStatuses"), "name", Word(pod.role));
  if (ours == nullptr) return;
  pod.restarts = std::max<std::int64_t>(0, IntegerAt(*ours, "/restartCount"));
  pod.running_ms = TimeAt(*ours, "/state/running/startedAt");
  if (pod.waiting_reason.empty()) {
    pod.waiting_reason = Sentence(*ours, "/state/waiting/reason");
    pod.waiting_message = Sentence(*ours, "/state/waiting/message");
  }
  pod.end = EndAt(*ours, "/state/terminated");
  pod.previous_end = EndAt(*ours, "/lastState/terminated");
  if (!pod.end) return;
  const bool pod_runs = pod.phase == PodPhase::kPending || pod.phase == PodPhase::kRunning;
  if (pod.end->exit_code == 0) {
    pod.phase = PodPhase::kSucceeded;
  } else if (pod.role == PodRole::kWorker) {
    pod.phase = PodPhase::kFailed;  // a server's is started again in place
  }
  const bool over = pod.phase == PodPhase::kSucceeded || pod.phase == PodPhase::kFailed;
  pod.lingers = pod_runs && over && OthersRun(status, pod);
}

}  // namespace

std::string_view Word(PodRole role) {
  return role == PodRole::kServer ? names::kParamserver : names::kWorker;
}

std::string PodName(const std::string& job, PodRole role, std::int64_t index,
                    std::int64_t attempt) {
  std::string name = job;
  name.append("-").append(Word(role)).append("-").append(std::to_string(index));
  if (attempt > 0) name.append("-").append(std::to_string(attempt));
  return name;
}

std::optional<Pod> DecodePod(const json& object) {
  const auto owner = ControllerOf(object);
  const json& labels = At(object, "/metadata/labels");
  const auto index = Number(labels, names::kIndex, kMaxIndex);
  const auto attempt = Number(labels, names::kAttempt, kMaxAttempt);
  // Labels can be copied and the name of an owner guessed; all of them must fit together.
  if (!owner || !index || !attempt || !Says(labels, names::kJobUid, owner->uid)) {
    return std::nullopt;
  }
  Pod pod;
  if (Says(labels, names::kAppComponent, names::kParamserver)) {
    pod.role = PodRole::kServer;
  } else if (!Says(labels, names::kAppComponent, names::kWorker)) {
    return std::nullopt;
  }
  pod.name = TextAt(object, "/metadata/name");
  if (pod.name != PodName(owner->name, pod.role, *index, *attempt)) return std::nullopt;
  pod.uid = TextAt(object, "/metadata/uid");
  pod.owner_uid = owner->uid;
  pod.job = owner->name;
  pod.index = *index;
  pod.attempt = *attempt;
  const json& annotations = At(object, "/metadata/annotations");
  pod.failures = Number(annotations, names::kFailures, kMaxFailures).value_or(0);
  pod.failures_in_a_row = Number(annotations, names::kFailuresInARow, kMaxFailures).value_or(0);
  pod.deleting = At(object, "/metadata/deletionTimestamp").is_string();
  pod.deleted_by_ms = TimeAt(object, "/metadata/deletionTimestamp");
  pod.created_ms = TimeAt(object, "/metadata/creationTimestamp");
  pod.node = TextAt(object, "/spec/nodeName");
  if (const json& deadline = At(object, "/spec/activeDeadlineSeconds");
      deadline.is_number_integer()) {
    pod.deadline_seconds = deadline.get<std::int64_t>();
  }
  ReadGates(object, pod);

  const json& status = At(object, "/status");
  const std::string phase = TextAt(status, "/phase");
  pod.phase = phase == "Running"     ? PodPhase::kRunning
              : phase == "Succeeded" ? PodPhase::kSucceeded
              : phase == "Failed"    ? PodPhase::kFailed
                                     : PodPhase::kPending;
  pod.ip = TextAt(status, "/podIP");
  pod.reason = Sentence(status, "/reason");
  pod.message = Sentence(status, "/message");
  pod.disrupted = pod.reason == "Evicted" || pod.reason == "NodeLost" ||
                  pod.reason == "Preempting" || pod.reason == "Terminated" ||
                  pod.reason == "NodeShutdown" || pod.reason == "NodeAffinity";
  ReadConditions(At(status, "/conditions"), pod);
  ReadContainers(status, pod);
  ReadInitFailure(object, status, pod);
  return pod;
}

std::vector<const Pod*> LatestPods(const std::vector<Pod>& pods, PodRole role) {
  std::map<std::int64_t, const Pod*> latest;
  for (const Pod& pod : pods) {
    if (pod.role != role) continue;
    const Pod*& best = latest[pod.index];
    if (best == nullptr || best->attempt < pod.attempt) best = &pod;
  }
  std::vector<const Pod*> out;
  for (const auto& [index, pod] : latest) out.push_back(pod);
  return out;
}

}  // namespace elephas
