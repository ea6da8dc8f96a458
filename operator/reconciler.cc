#include "operator/reconciler.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/base64.h"
#include "common/base/log.h"
#include "common/base/names.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "kube/object_text.h"
#include "operator/pods/default_requests.h"
#include "operator/pods/desired_objects.h"
#include "operator/pods/desired_pods.h"
#include "operator/rules/old_objects.h"
#include "operator/rules/outcome.h"
#include "operator/rules/refusal_policy.h"

namespace elephas {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// How long a watch may be behind our own writes.
constexpr std::int64_t kWatchDelayMs = 10'000;
// Secret, Service and NetworkPolicy, in a refusal.
constexpr std::string_view kNeeds = "what the job needs";
// Nobody tells when a Service was changed by hand.
constexpr std::int64_t kReapplyMs = 600'000;

Result<std::string> NewToken() {
  std::array<unsigned char, 32> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return Internal(std::string("no random numbers: ") + std::strerror(errno));
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string token;
  for (const unsigned char byte : bytes) {
    token += kDigits[byte >> 4U];
    token += kDigits[byte & 15U];
  }
  return token;
}

bool IsRefusal(const Status& status) {
  return status.code() == Code::kForbidden || status.code() == Code::kInvalid ||
         status.code() == Code::kExists || status.code() == Code::kGone;
}

// Nothing to be done: it is gone, or another one has its name.
bool IsGone(const Status& status) {
  return status.code() == Code::kNotFound || status.code() == Code::kConflict;
}

// The cluster's status without what others have put in.
json OurPart(const json& status, const json& ours) {
  json out = status;
  const auto conditions = out.find("conditions");
  if (conditions == out.end() || !conditions->is_array()) return out;
  json kept = json::array();
  for (const json& condition : *conditions) {
    if (FindCondition(ours, TextOf(condition, "type")) != nullptr) {
      kept.push_back(condition);
    }
  }
  *conditions = std::move(kept);
  return out;
}

// An address as a URL has it; "" for a text that is none, which nobody looks up.
std::string HostOf(const std::string& ip) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (inet_pton(AF_INET, ip.c_str(), bytes.data()) == 1) return ip;
  return inet_pton(AF_INET6, ip.c_str(), bytes.data()) == 1 ? "[" + ip + "]" : "";
}

std::optional<ServerAddress> AddressOf(const Job& job, const Observed& observed,
                                       const std::string& token) {
  if (token.empty()) return std::nullopt;
  const Pod* server = nullptr;
  for (const Pod& pod : observed.pods) {
    if (pod.role == PodRole::kServer && pod.index == 0) server = &pod;
  }
  if (server == nullptr || server->running_ms == 0) return std::nullopt;
  std::string url = "http://";
  const std::string host = HostOf(server->ip);
  if (host.empty()) return std::nullopt;
  url.append(host).append(":").append(std::to_string(ServerPort(job.spec)));
  return ServerAddress{std::move(url), token};
}

}  // namespace

Reconciler::Reconciler(Parts parts, Settings settings)
    : parts_(std::move(parts)), settings_(std::move(settings)) {}

Result<std::optional<milliseconds>> Reconciler::Reconcile(const kube::ObjectName& name) {
  Result<json> object = parts_.view.FindJob(name);
  if (object.status().code() == Code::kNotFound) {
    Forget(name);
    return std::optional<milliseconds>();
  }
  ELEPHAS_RETURN_IF_ERROR(object.status());
  Memory* memory = nullptr;
  {
    const MutexLock lock(mutex_);
    memory = &memories_[name];
  }
  ELEPHAS_ASSIGN_OR_RETURN(const Plan plan, Run(name, *std::move(object), *memory));
  if (!plan.wake_ms) return std::optional<milliseconds>();
  const std::int64_t wait = *plan.wake_ms - parts_.clock.UnixMillis();
  return std::optional(milliseconds(std::max<std::int64_t>(wait, 0)));
}

Result<Plan> Reconciler::Run(const kube::ObjectName& name, json object, Memory& memory) {
  const std::string version = TextAt(object, "/metadata/resourceVersion");
  // One that is not whole may have lost its status with the rest.
  const bool has_status = !object.contains(kube::kClipped) || object.contains("status");
  Job job = ParseJob(std::move(object));
  if (memory.uid != job.uid) {  // another job of that name
    if (!memory.uid.empty()) parts_.progress.Forget(memory.uid);
    memory = Memory{};
    memory.uid = job.uid;
  }
  // Garbage collection takes what belongs to it.
  if (job.deleting) {
    parts_.progress.Forget(job.uid);
    return Plan{};
  }
  if (!memory.written.is_null() && (memory.derived_from == version || !has_status)) {
    job.status = memory.written;  // the watch has not told yet
  }
  Observed observed = Observe(job, memory);
  Plan plan = MakePlan(job, settings_, observed, parts_.clock.UnixMillis());
  ELEPHAS_RETURN_IF_ERROR(Act(job, plan, observed, memory).Annotate(ToString(name)));
  if (plan.delete_job) return plan;
  ELEPHAS_RETURN_IF_ERROR(
      WriteStatus(job, version, observed, plan, memory).Annotate(ToString(name)));
  FollowProgress(job, observed, plan, memory);
  return plan;
}

Observed Reconciler::Observe(const Job& job, Memory& memory) const {
  const std::int64_t now = parts_.clock.UnixMillis();
  Observed observed;
  observed.pods = parts_.view.PodsOf(job.ns, job.uid);
  observed.progress = parts_.progress.Latest(job.uid);
  observed.refusal = memory.refusal;
  for (Pod& pod : observed.pods) {
    memory.created.erase(pod.name);
    if (const auto found = memory.deleted.find(pod.uid);
        found != memory.deleted.end() && !pod.deleting) {
      pod.deleting = true;
      pod.deleted_by_ms = found->second + kWatchDelayMs;
    }
  }
  std::erase_if(memory.created,
                [&](const auto& entry) { return entry.second.created_ms + kWatchDelayMs < now; });
  std::erase_if(memory.deleted,
                [&](const auto& entry) { return entry.second + kWatchDelayMs < now; });
  for (const auto& [name, pod] : memory.created) observed.pods.push_back(pod);
  std::sort(observed.pods.begin(), observed.pods.end());
  return observed;
}

Status Reconciler::Act(const Job& job, Plan& plan, Observed& observed, Memory& memory) {
  if (plan.delete_job) {
    LogInfo("job deleted",
            {{"namespace", job.ns}, {"job", job.name}, {"reason", "ttlSecondsAfterFinished"}});
    const Status gone =
        parts_.client.Delete(kube::kElephasJob, {job.ns, job.name}, {.uid = job.uid});
    return gone.ok() || IsGone(gone) ? OkStatus() : gone;
  }
  const bool creates = !plan.create.empty();
  bool refused = false;
  const auto refuse = [&](const Status& status, std::string object) {
    refused = true;
    LogWarning("write refused", {{"namespace", job.ns},
                                 {"job", job.name},
                                 {"object", object},
                                 {"message", status.message()}});
    const std::int64_t now = parts_.clock.UnixMillis();
    const bool again = memory.refusal && memory.refusal->status.code() == status.code();
    const std::int64_t since = again ? memory.refusal->since_ms : now;
    memory.refusal = Refusal{status, std::move(object), now, since};
    observed.refusal = memory.refusal;
    plan.create.clear();
    // What will be refused every time ends the job, and that is decided with the refusal at hand.
    plan.wake_ms = IsForGood(*memory.refusal)
                       ? now
                       : std::min(plan.wake_ms.value_or(INT64_MAX), RetryAtMs(*memory.refusal));
  };
  if (plan.apply_objects) {
    const Status ensured = EnsureObjects(job, memory);
    if (!ensured.ok() && !IsRefusal(ensured)) return ensured;
    if (!ensured.ok()) refuse(ensured, std::string(kNeeds));
  }
  std::vector<CreatePod> made;
  for (const CreatePod& pod : std::vector<CreatePod>(plan.create)) {
    const Result<bool> created = Create(job, pod, memory);
    if (!created.ok() && !IsRefusal(created.status())) return created.status();
    if (!created.ok()) {
      refuse(created.status(), "Pod " + PodName(job, pod.role, pod.index, pod.attempt));
      break;
    }
    if (*created) made.push_back(pod);
  }
  if (!refused && memory.refusal && (creates || memory.refusal->object == kNeeds)) {
    memory.refusal.reset();
    observed.refusal.reset();
  }
  plan.create = std::move(made);
  for (const DeletePod& pod : plan.remove) {
    ELEPHAS_RETURN_IF_ERROR(Delete(job, pod, memory));
  }
  for (const StopPod& pod : plan.stop) {
    ELEPHAS_RETURN_IF_ERROR(Stop(job, pod, memory));
  }
  GiveBack(job, plan, observed, memory);
  return OkStatus();
}

Status Reconciler::EnsureObjects(const Job& job, Memory& memory) {
  ELEPHAS_RETURN_IF_ERROR(EnsureSecret(job, memory));
  const json service = MakeService(job), policy = MakeNetworkPolicy(job, settings_);
  const std::size_t hash = std::hash<std::string>()(JsonText(service) + JsonText(policy));
  const std::int64_t now = parts_.clock.UnixMillis();
  if (memory.applied == hash && now < memory.applied_ms + kReapplyMs) return OkStatus();
  ELEPHAS_RETURN_IF_ERROR(EnsureObject(job, kube::kService, service));
  if (settings_.network_policy) {
    ELEPHAS_RETURN_IF_ERROR(EnsureObject(job, kube::kNetworkPolicy, policy));
  }
  memory.applied = hash;
  memory.applied_ms = now;
  return OkStatus();
}

Status Reconciler::EnsureSecret(const Job& job, Memory& memory) {
  if (!memory.token.empty()) return OkStatus();
  const kube::ObjectName name{job.ns, SecretName(job)};
  Result<json> secret = parts_.client.Get(kube::kSecret, name);
  if (secret.status().code() == Code::kNotFound) {
    ELEPHAS_RETURN_IF_ERROR(AwaitEarlierPods(job));
    ELEPHAS_ASSIGN_OR_RETURN(std::string token, NewToken());
    const Result<json> made = parts_.client.Create(kube::kSecret, MakeSecret(job, token));
    if (!made.ok()) return made.status().Annotate("Secret " + name.name);
    memory.token = std::move(token);
    return OkStatus();
  }
  ELEPHAS_RETURN_IF_ERROR(secret.status());
  if (!IsOwned(*secret, job)) return NotOurs(kube::kSecret, *secret, job);
  auto token = kube::DecodeBase64(TextOf(MemberOf(*secret, "data"), names::kTokenKey));
  if (!token || token->empty()) {
    // Stored as it was sent where nobody encodes it.
    token = TextOf(MemberOf(*secret, "stringData"), names::kTokenKey);
  }
  if (token->empty()) return Internal("Secret " + name.name + " holds no token");
  memory.token = *std::move(token);
  return OkStatus();
}

Status Reconciler::EnsureObject(const Job& job, const kube::Kind& kind, const json& object) {
  const kube::ObjectName name = kube::NameOf(object);
  const Result<json> there = parts_.client.Get(kind, name);
  if (there.ok() && !IsOwned(*there, job)) return NotOurs(kind, *there, job);
  if (!there.ok() && there.status().code() != Code::kNotFound) return there.status();
  return parts_.client.Apply(kind, object)
      .status()
      .Annotate(std::string(kind.kind) + " " + name.name);
}

Result<bool> Reconciler::Create(const Job& job, const CreatePod& pod, Memory& memory) {
  json object = MakePod(job, settings_, pod.role, pod.index, pod.attempt, pod.failures,
                        pod.failures_in_a_row);
  const kube::ObjectName name = kube::NameOf(object);
  Result<json> made = parts_.client.Create(kube::kPod, object);
  // A LimitRange knows better than our defaults.
  if (IsRefusal(made.status()) && IsAboutAmounts(made.status().message()) &&
      DropDefaultRequests(job, pod.role, object)) {
    made = parts_.client.Create(kube::kPod, object);
  }
  if (made.status().code() == Code::kExists) {
    const Result<json> there = parts_.client.Get(kube::kPod, name);
    if (there.status().code() == Code::kNotFound) {
      return Conflict("Pod " + name.name + " has gone just now");  // tried again at once
    }
    ELEPHAS_RETURN_IF_ERROR(there.status());
    // Ours, and still what we made it: one that lost its labels would be waited for without end.
    const auto ours = DecodePod(*there);
    if (!ours || ours->owner_uid != job.uid) return NotOurs(kube::kPod, *there, job);
  } else if (!made.ok()) {
    return made.status();
  }
  Pod expected;
  expected.name = name.name;
  expected.owner_uid = job.uid;
  expected.role = pod.role;
  expected.index = pod.index;
  expected.attempt = pod.attempt;
  expected.failures = pod.failures;
  expected.failures_in_a_row = pod.failures_in_a_row;
  expected.created_ms = parts_.clock.UnixMillis();
  memory.created[name.name] = expected;
  if (!made.ok()) return false;
  if (parts_.created) parts_.created(job, pod);
  if (!pod.replaces.empty()) parts_.record(job, ReplacementEvent(pod, name.name));
  LogInfo("pod created", {{"namespace", job.ns},
                          {"job", job.name},
                          {"pod", name.name},
                          {"replaces", pod.replaces},
                          {"reason", pod.why}});
  return true;
}

Status Reconciler::Delete(const Job& job, const DeletePod& pod, Memory& memory) {
  if (pod.uid.empty()) return OkStatus();  // made just now; the watch tells its uid
  Status gone = parts_.client.Delete(kube::kPod, {job.ns, pod.name}, {.uid = pod.uid});
  if (!gone.ok() && !IsGone(gone)) return gone;
  memory.deleted[pod.uid] = parts_.clock.UnixMillis();
  LogInfo("pod deleted",
          {{"namespace", job.ns}, {"job", job.name}, {"pod", pod.name}, {"reason", pod.why}});
  return OkStatus();
}

Status Reconciler::Stop(const Job& job, const StopPod& pod, Memory& memory) {
  if (pod.uid.empty()) return OkStatus();  // made just now
  const Result<json> stopped = parts_.client.Apply(
      kube::kPod, {{"metadata", {{"namespace", job.ns}, {"name", pod.name}, {"uid", pod.uid}}},
                   {"spec", {{"activeDeadlineSeconds", kStopSeconds}}}});
  if (IsGone(stopped.status())) return OkStatus();
  if (IsRefusal(stopped.status())) {
    LogWarning("pod cannot be stopped, so it is deleted",
               {{"namespace", job.ns},
                {"job", job.name},
                {"pod", pod.name},
                {"message", stopped.status().message()}});
    return Delete(job, {pod.name, pod.uid, pod.why}, memory);
  }
  ELEPHAS_RETURN_IF_ERROR(stopped.status());
  LogInfo("pod stopped",
          {{"namespace", job.ns}, {"job", job.name}, {"pod", pod.name}, {"reason", pod.why}});
  return OkStatus();
}

Status Reconciler::AwaitEarlierPods(const Job& job) const {
  std::string selector(names::kManagedSelector);
  selector.append(",").append(names::kAppInstance).append("=").append(job.name);
  kube::ListOptions pods{.ns = job.ns, .label_selector = std::move(selector), .limit = 500};
  do {
    ELEPHAS_ASSIGN_OR_RETURN(const kube::ListPage page, parts_.client.List(kube::kPod, pods));
    for (const json& pod : page.items) {
      if (IsOwned(pod, job)) continue;
      const Status status = NotOurs(kube::kPod, pod, job);
      if (status.code() == Code::kGone) return status;
    }
    pods.continue_token = page.continue_token;
  } while (!pods.continue_token.empty());
  return OkStatus();
}

Status Reconciler::NotOurs(const kube::Kind& kind, const json& there, const Job& job) const {
  return NameInUse(kind, there, job, [&](const std::string& name, const std::string& uid) {
    // One that cannot be read just now is looked for again; to say that it lives would be final.
    const Result<json> owner = parts_.view.FindJob({job.ns, name});
    return owner.ok() && TextAt(*owner, "/metadata/uid") == uid &&
           !At(*owner, "/metadata/deletionTimestamp").is_string();
  });
}

void Reconciler::GiveBack(const Job& job, const Plan& plan, const Observed& observed,
                          Memory& memory) {
  // What a name was given back for is over when its pod is.
  std::erase_if(memory.given_back, [&](const std::string& name) {
    return std::none_of(observed.pods.begin(), observed.pods.end(),
                        [&](const Pod& pod) { return pod.name == name; });
  });
  if (plan.give_back.empty()) return;
  const auto address = AddressOf(job, observed, memory.token);
  if (!address) return;
  for (const std::string& worker : plan.give_back) {
    if (memory.given_back.insert(worker).second) {
      parts_.progress.GiveBack(job.uid, {job.ns, job.name}, *address, worker);
    }
  }
}

Status Reconciler::ApplyStatus(const Job& job, const json& status) {
  const json patch{{"metadata", {{"namespace", job.ns}, {"name", job.name}, {"uid", job.uid}}},
                   {"status", status}};
  const Status written = parts_.client.ApplyStatus(kube::kElephasJob, patch).status();
  // Deleted meanwhile: there is nobody to tell.
  return IsGone(written) ? OkStatus() : written;
}

Status Reconciler::WriteInternalError(const Job& job, const std::string& why) {
  if (IsFinished(job)) return OkStatus();
  const json status =
      MakeInternalErrorStatus(job.status, job.generation, why, parts_.clock.UnixMillis());
  const json* before = FindCondition(job.status, names::kStalled);
  const json* now = FindCondition(status, names::kStalled);
  // Said already.
  if (before != nullptr && now != nullptr && *before == *now) return OkStatus();
  ELEPHAS_RETURN_IF_ERROR(ApplyStatus(job, status));
  LogError("job given up", {{"namespace", job.ns}, {"job", job.name}, {"message", why}});
  parts_.record(job, {true, std::string(names::kInternalError), why});
  return OkStatus();
}

Status Reconciler::GiveUp(const kube::ObjectName& name, const std::string& why) {
  const Result<json> object = parts_.view.FindJob(name);
  if (object.status().code() == Code::kNotFound) return OkStatus();
  ELEPHAS_RETURN_IF_ERROR(object.status());
  const Job job = ParseJobHeader(*object);
  return job.deleting ? OkStatus() : WriteInternalError(job, why);
}

Status Reconciler::WriteStatus(const Job& job, const std::string& version, const Observed& observed,
                               const Plan& plan, Memory& memory) {
  const json status = MakeStatus(job, observed, plan, parts_.clock.UnixMillis());
  if (status != OurPart(job.status, status)) {
    const Status written = ApplyStatus(job, status);
    // It will be so every time; that is told in words that are our own only.
    if (written.code() == Code::kInvalid) {
      return WriteInternalError(job,
                                "the API server refuses the job's status: " + written.message());
    }
    ELEPHAS_RETURN_IF_ERROR(written);
    memory.written = status;
    memory.derived_from = version;
  }
  for (const JobEvent& event : EventsOf(job.status, status)) {
    // In the log as well, which outlives the cluster's events.
    Log(event.warning ? LogLevel::kWarning : LogLevel::kInfo, "job event",
        {{"namespace", job.ns},
         {"job", job.name},
         {"reason", event.reason},
         {"message", event.message}});
    parts_.record(job, event);
  }
  return OkStatus();
}

void Reconciler::FollowProgress(const Job& job, const Observed& observed, const Plan& plan,
                                const Memory& memory) {
  const auto address = AddressOf(job, observed, memory.token);
  if (!address || plan.end || plan.suspended || IsFinished(job)) {
    parts_.progress.Pause(job.uid);
  } else {
    parts_.progress.Follow(job.uid, {job.ns, job.name}, *address);
  }
}

void Reconciler::Forget(const kube::ObjectName& name) {
  const MutexLock lock(mutex_);
  const auto found = memories_.find(name);
  if (found == memories_.end()) return;
  parts_.progress.Forget(found->second.uid);
  memories_.erase(found);
}

}  // namespace elephas
