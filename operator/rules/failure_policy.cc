#include "operator/rules/failure_policy.h"

#include <algorithm>
#include <cstring>

#include "common/base/names.h"
#include "common/base/program.h"
#include "common/base/utf8.h"

namespace elephas {

namespace {

constexpr std::size_t kMaxQuote = 400;

// The termination message's last lines, which say why; whole ones unless the last is too long.
std::string Tail(const std::string& message) {
  std::string_view text = message;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (text.size() <= kMaxQuote) return std::string(text);
  const std::size_t line = text.find('\n', text.size() - kMaxQuote - 1);
  if (line != std::string_view::npos) return std::string(text.substr(line + 1));
  return std::string(Utf8Tail(text, kMaxQuote));
}

// In the words of `elephas run`, with the number that kubectl shows.
std::string DescribeExit(int code) {
  if (code <= kExitBySignal) return "exited with " + std::to_string(code);
  const int signal = code - kExitBySignal;
  const char* name = sigabbrev_np(signal);
  return "was killed by signal " + std::to_string(signal) + " (" +
         (name == nullptr ? "" : "SIG" + std::string(name) + ", ") + "exit code " +
         std::to_string(code) + ")";
}

const ContainerEnd* EndOf(const Pod& pod) {
  if (pod.end) return &*pod.end;
  return pod.previous_end ? &*pod.previous_end : nullptr;
}

bool HasDied(const Pod& pod) {
  if (pod.role == PodRole::kServer && pod.restarts > 0 && pod.previous_end) return true;
  return pod.phase == PodPhase::kFailed && CountsAsFailure(pod);
}

}  // namespace

std::int64_t DeathTimeMs(const Pod& pod) {
  const ContainerEnd* end = EndOf(pod);
  if (end == nullptr && pod.init_failure) end = &pod.init_failure->end;
  return end == nullptr ? pod.created_ms : end->finished_ms;
}

bool CountsAsFailure(const Pod& pod) {
  if (pod.phase != PodPhase::kFailed || pod.disrupted || pod.role == PodRole::kServer) return false;
  // Somebody deleted it: its program ended because it was told to.
  if (pod.deleting) return false;
  return !pod.end || pod.end->exit_code != kExitJobFailed;
}

std::int64_t FailuresUpTo(const Pod& pod) {
  if (pod.role == PodRole::kServer) return pod.failures + pod.restarts;
  return pod.failures + (CountsAsFailure(pod) ? 1 : 0);
}

std::int64_t CountFailures(const Observed& observed) {
  std::int64_t count = 0;
  for (const PodRole role : {PodRole::kServer, PodRole::kWorker}) {
    for (const Pod* pod : LatestPods(observed.pods, role)) count += FailuresUpTo(*pod);
  }
  return count;
}

std::string DescribeEnd(const Pod& pod) {
  const ContainerEnd* end = EndOf(pod);
  if (end == nullptr && pod.init_failure) {
    const ContainerEnd& init = pod.init_failure->end;
    std::string text = "failed in its init container " + pod.init_failure->container + ", which ";
    text += init.reason == "OOMKilled" ? "was killed for memory (OOMKilled)"
                                       : DescribeExit(init.exit_code);
    if (const std::string tail = Tail(init.message); !tail.empty()) text += ": " + tail;
    return text;
  }
  if (end == nullptr) {
    return pod.reason.empty() ? "failed" : "failed (" + pod.reason + "): " + Tail(pod.message);
  }
  if (end->reason == "OOMKilled") return "was killed for memory (OOMKilled)";
  std::string text = DescribeExit(end->exit_code);
  if (const std::string tail = Tail(end->message); !tail.empty()) text += ": " + tail;
  return text;
}

std::string Advice(const Job& job, const Pod& pod) {
  const ContainerEnd* end = EndOf(pod);
  const bool server = pod.role == PodRole::kServer;
  if (end != nullptr && end->reason == "OOMKilled") {
    return server ? "raise resources.limits.memory in spec.parameterServers.template"
                  : "raise resources.limits.memory in spec.workers.template, or lower "
                    "spec.fit.batchSize";
  }
  std::string text = "see kubectl logs -n " + job.ns + " " + pod.name;
  if (end == nullptr && pod.init_failure) return text + " -c " + pod.init_failure->container;
  if (server && !pod.end) text += " --previous";
  return text;
}

const Pod* LastDeath(const Observed& observed) {
  const Pod* last = nullptr;
  for (const Pod& pod : observed.pods) {
    if (HasDied(pod) && (last == nullptr || DeathTimeMs(pod) >= DeathTimeMs(*last))) last = &pod;
  }
  return last;
}

std::optional<JobEnd> TooManyFailures(const Job& job, const Observed& observed) {
  for (const Pod& pod : observed.pods) {
    const ContainerEnd* end = EndOf(pod);
    if (end != nullptr && end->exit_code == kExitUsage && !pod.deleting) {
      return JobEnd{false, std::string(names::kStartFailed),
                    pod.name + " cannot start: " + DescribeEnd(pod) + "; " + Advice(job, pod),
                    observed.progress};
    }
  }
  const std::int64_t limit = job.spec.run_policy.backoff_limit;
  if (CountFailures(observed) <= limit) return std::nullopt;
  std::string message = "spec.runPolicy.backoffLimit allows " + std::to_string(limit) +
                        (limit == 1 ? " restart" : " restarts");
  if (const Pod* last = LastDeath(observed)) {
    message =
        last->name + " " + DescribeEnd(*last) + "; " + Advice(job, *last) + " (" + message + ")";
  }
  return JobEnd{false, std::string(names::kBackoffLimitExceeded), message, observed.progress};
}

}  // namespace elephas
