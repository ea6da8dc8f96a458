#include "operator/rules/blocker.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "common/base/names.h"
#include "operator/rules/failure_policy.h"
#include "operator/rules/replacement_backoff.h"

namespace elephas {

namespace {

using std::string_view_literals::operator""sv;

// A pod that is bound to a node but has not started for so long, and nobody says why.
constexpr std::int64_t kPatienceMs = 30'000;

constexpr std::array kImageReasons{"ErrImagePull"sv,
                                   "ImagePullBackOff"sv,
                                   "InvalidImageName"sv,
                                   "ErrImageNeverPull"sv,
                                   "ImageInspectError"sv,
                                   "RegistryUnavailable"sv,
                                   "SignatureValidationFailed"sv};
constexpr std::array kConfigReasons{"CreateContainerConfigError"sv, "CreateContainerError"sv,
                                    "RunContainerError"sv, "StartError"sv};

template <std::size_t count>
bool IsAmong(std::string_view word, const std::array<std::string_view, count>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool Mentions(std::string_view text, std::string_view word) {
  return std::search(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         }) != text.end();
}

std::string Colon(const std::string& text) { return text.empty() ? "" : ": " + text; }

// How long something may take to go away before a person should look at it.
constexpr std::int64_t kGoingPatienceMs = 300'000;

Blocker FromRefusal(const Refusal& refusal, std::int64_t now_ms) {
  const std::string& message = refusal.status.message();
  if (refusal.status.code() == Code::kGone) {
    return {std::string(names::kWaitingForOldObjects),
            message + "; the job goes on as soon as that is gone",
            refusal.since_ms != 0 && now_ms >= refusal.since_ms + kGoingPatienceMs};
  }
  if (Mentions(message, "exceeded quota") || Mentions(message, "failed quota")) {
    return {std::string(names::kQuotaExceeded),
            refusal.object + " was refused: " + message +
                "; raise the ResourceQuota, lower the requests in the templates or "
                "spec.workers.replicas, or wait for others to finish (tried again by itself)"};
  }
  if (refusal.status.code() == Code::kInvalid) {
    return {std::string(names::kPodInvalid),
            refusal.object + " was refused: " + message +
                "; change what the namespace adds to its pods (LimitRange, webhooks), or the "
                "template, which can be changed while spec.runPolicy.suspend is true (tried again "
                "by itself)"};
  }
  return {std::string(names::kPodRefused),
          refusal.object + " was refused: " + message +
              "; change the policy or the template (tried again by itself)"};
}

std::optional<Blocker> FromImage(const Pod& pod) {
  if (!IsAmong(pod.waiting_reason, kImageReasons)) return std::nullopt;
  return Blocker{std::string(names::kImagePullFailed),
                 pod.name + " waits for its image (" + pod.waiting_reason + ")" +
                     Colon(pod.waiting_message) +
                     "; check the image's name in the chart's values or the template, and "
                     "imagePullSecrets"};
}

std::optional<Blocker> FromScheduler(const Pod& pod) {
  if (pod.phase != PodPhase::kPending || pod.unschedulable.empty()) return std::nullopt;
  const std::string& says = pod.unschedulable;
  if (Mentions(says, "persistentvolumeclaim") || Mentions(says, "persistent volume") ||
      Mentions(says, "volume node affinity")) {
    return Blocker{std::string(names::kVolumeNotBound),
                   pod.name + " waits for its volume: " + says +
                       "; create the claim, or look at its storage class: kubectl describe pvc"};
  }
  return Blocker{std::string(names::kUnschedulable),
                 pod.name + " fits no node: " + says +
                     "; lower its requests, change its node selector, or add nodes"};
}

std::optional<Blocker> FromKubelet(const Pod& pod) {
  if (!IsAmong(pod.waiting_reason, kConfigReasons)) return std::nullopt;
  return Blocker{std::string(names::kContainerConfigError),
                 pod.name + " cannot be started (" + pod.waiting_reason + ")" +
                     Colon(pod.waiting_message) + "; correct the template or what it names"};
}

// Whoever has set them takes them away; nobody knows when.
std::optional<Blocker> FromGates(const Pod& pod) {
  if (pod.phase != PodPhase::kPending || pod.gates.empty()) return std::nullopt;
  std::string message = pod.name;
  message +=
      pod.gates.size() == 1 ? " waits for its scheduling gate" : " waits for its scheduling gates";
  for (std::size_t i = 0; i < pod.gates.size(); ++i) {
    message.append(i == 0 ? " " : ", ").append(pod.gates[i]);
  }
  message +=
      "; no node is chosen before whoever has set it (a queue such as Kueue, or the template) "
      "takes it away";
  return Blocker{std::string(names::kSchedulingGated), message, false};
}

// A server's, which the kubelet starts again; a worker's pod has failed with it.
std::optional<Blocker> FromInitContainer(const Job& job, const Pod& pod) {
  if (pod.phase != PodPhase::kPending || !pod.init_failure) return std::nullopt;
  return Blocker{std::string(names::kInitContainerFailed),
                 pod.name + " " + DescribeEnd(pod) + "; " + Advice(job, pod)};
}

const Pod* Predecessor(const Pod& pod, const Observed& observed) {
  const Pod* found = nullptr;
  for (const Pod& other : observed.pods) {
    if (other.role == pod.role && other.index == pod.index && other.attempt < pod.attempt &&
        other.phase == PodPhase::kFailed) {
      found = &other;  // sorted by attempt: the newest
    }
  }
  return found;
}

bool HasRecovered(const Pod& pod, std::int64_t now_ms) {
  return IsActive(pod) && pod.running_ms != 0 && now_ms >= pod.running_ms + kRecoveredAfterMs;
}

// A worker that fails again and again, whether its next try has begun or still waits.
std::optional<Blocker> FromFailuresInARow(const Job& job, const Observed& observed, const Pod& pod,
                                          std::int64_t now_ms) {
  const std::int64_t failures = FailuresInARow(pod, observed), pause = PauseOfMs(pod, observed);
  if (pause == 0 || HasRecovered(pod, now_ms)) return std::nullopt;
  const Pod* dead = IsActive(pod) ? Predecessor(pod, observed) : &pod;
  if (dead == nullptr || pod.deleting) return std::nullopt;
  const bool memory = dead->end && dead->end->reason == "OOMKilled";
  const std::string_view reason = !dead->end && dead->init_failure ? names::kInitContainerFailed
                                  : memory                         ? names::kWorkerOutOfMemory
                                                                   : names::kWorkerFailing;
  std::string message = dead->name + " " + DescribeEnd(*dead) + "; ";
  message.append(Advice(job, *dead)).append(" (");
  message.append(std::to_string(failures)).append(failures == 1 ? " failure" : " failures");
  message.append(" in a row, the next try after ").append(std::to_string(pause / 1000));
  message.append(" s; ");
  message.append(std::to_string(CountFailures(observed))).append(" of ");
  message.append(std::to_string(job.spec.run_policy.backoff_limit)).append(" restarts)");
  return Blocker{std::string(reason), message};
}

bool WaitsInSilence(const Pod& pod) {
  return pod.phase == PodPhase::kPending && pod.unschedulable.empty() && pod.gates.empty() &&
         !pod.init_failure && !pod.deleting;
}

std::optional<Blocker> FromSilence(const Job& job, const Pod& pod, std::int64_t now_ms) {
  if (!WaitsInSilence(pod) || now_ms < pod.created_ms + kPatienceMs) return std::nullopt;
  std::string message = pod.name + " has not started for more than " +
                        std::to_string(kPatienceMs / 1000) + " s" +
                        (pod.node.empty() ? ", and no node was chosen" : " on " + pod.node) +
                        "; kubectl describe pod -n " + job.ns + " " + pod.name +
                        " says why, often a volume, Secret or ConfigMap that is not there";
  if (job.spec.model.config_map && pod.role == PodRole::kWorker) {
    message += " (spec.model.configMapRef: is there a ConfigMap " +
               job.spec.model.config_map->name + " with the key " + job.spec.model.config_map->key +
               "?)";
  }
  return Blocker{std::string(names::kPodNotStarting), message};
}

// In place; the kubelet waits longer each time.
std::optional<Blocker> FromServer(const Job& job, const Observed& observed, const Pod& pod) {
  if (pod.role != PodRole::kServer || pod.restarts == 0 || pod.ready || !pod.previous_end) {
    return std::nullopt;
  }
  return Blocker{std::string(names::kServerRestarting),
                 pod.name + " " + DescribeEnd(pod) + " and starts again (" +
                     std::to_string(CountFailures(observed)) + " of " +
                     std::to_string(job.spec.run_policy.backoff_limit) + " restarts); " +
                     Advice(job, pod),
                 false};
}

}  // namespace

std::optional<Blocker> FindBlocker(const Job& job, const Observed& observed, std::int64_t now_ms) {
  if (observed.refusal) return FromRefusal(*observed.refusal, now_ms);
  std::vector<const Pod*> pods, workers = LatestPods(observed.pods, PodRole::kWorker);
  for (const PodRole role : {PodRole::kServer, PodRole::kWorker}) {
    for (const Pod* pod : LatestPods(observed.pods, role)) {
      if (IsActive(*pod)) pods.push_back(pod);
    }
  }
  // What is certain before what is guessed from silence.
  for (const Pod* pod : pods) {
    if (auto blocker = FromImage(*pod)) return blocker;
    if (auto blocker = FromKubelet(*pod)) return blocker;
    if (auto blocker = FromInitContainer(job, *pod)) return blocker;
  }
  for (const Pod* pod : workers) {
    if (auto blocker = FromFailuresInARow(job, observed, *pod, now_ms)) return blocker;
  }
  for (const Pod* pod : pods) {
    if (auto blocker = FromGates(*pod)) return blocker;
    if (auto blocker = FromScheduler(*pod)) return blocker;
  }
  for (const Pod* pod : pods) {
    if (auto blocker = FromSilence(job, *pod, now_ms)) return blocker;
    if (auto blocker = FromServer(job, observed, *pod)) return blocker;
  }
  return std::nullopt;
}

std::optional<std::int64_t> NextPatienceEndMs(const Observed& observed, std::int64_t now_ms) {
  std::optional<std::int64_t> next;
  for (const Pod& pod : observed.pods) {
    const std::int64_t end = pod.created_ms + kPatienceMs;
    if (WaitsInSilence(pod) && end > now_ms) next = std::min(next.value_or(end), end);
    const std::int64_t recovered = pod.running_ms + kRecoveredAfterMs;
    if (IsActive(pod) && pod.running_ms != 0 && pod.failures_in_a_row > 1 && recovered > now_ms) {
      next = std::min(next.value_or(recovered), recovered);
    }
  }
  return next;
}

}  // namespace elephas
