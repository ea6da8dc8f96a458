// A pod of a job, as far as decisions need it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace elephas {

enum class PodRole : std::uint8_t { kServer, kWorker };
std::string_view Word(PodRole role);  // "paramserver", "worker": also the container's name

enum class PodPhase : std::uint8_t { kPending, kRunning, kSucceeded, kFailed };

// How our container ended.
struct ContainerEnd {
  int exit_code = 0;
  std::string reason;   // the runtime's: "OOMKilled", "Error", "Completed"
  std::string message;  // the termination message
  std::int64_t finished_ms = 0;
  friend bool operator==(const ContainerEnd&, const ContainerEnd&) = default;
};

// An init container that has failed, so that ours cannot start.
struct InitFailure {
  std::string container;
  ContainerEnd end;
  friend bool operator==(const InitFailure&, const InitFailure&) = default;
};

// Under spec.activeDeadlineSeconds of a pod that is stopped: the kubelet ends it within a second.
inline constexpr std::int64_t kStopSeconds = 1;

struct Pod {
  std::string name, uid;
  std::string job, owner_uid;  // name and uid of the ElephasJob
  PodRole role = PodRole::kWorker;
  std::int64_t index = 0, attempt = 0;
  std::int64_t failures = 0;           // of its predecessors, that count
  std::int64_t failures_in_a_row = 0;  // of its predecessors, the last ones (replacement_backoff.h)
  // kSucceeded and kFailed as soon as our container has ended for good, whatever sidecars do.
  PodPhase phase = PodPhase::kPending;
  // Our container has ended, and another one runs on: a sidecar.
  bool lingers = false;
  std::int64_t deadline_seconds = 0;  // spec.activeDeadlineSeconds; 0: none
  bool deleting = false;
  std::int64_t deleted_by_ms = 0;  // when its grace is over; 0: it is not being deleted
  bool ready = false;
  bool disrupted = false;  // evicted, preempted, its node lost: no fault of the job's
  std::int64_t created_ms = 0;
  std::int64_t restarts = 0;    // of our container, in place
  std::int64_t running_ms = 0;  // since when our container runs; 0: it does not
  std::string ip, node;
  std::string unschedulable;                    // what the scheduler says
  std::string waiting_reason, waiting_message;  // what the kubelet says
  std::string reason, message;                  // the pod's own ("Evicted")
  std::vector<std::string> gates;               // until they are taken away nobody schedules it
  std::optional<ContainerEnd> end, previous_end;
  std::optional<InitFailure> init_failure;  // while ours has never started

  friend bool operator==(const Pod&, const Pod&) = default;
  friend bool operator<(const Pod& a, const Pod& b) {
    return std::tie(a.role, a.index, a.attempt, a.name) <
           std::tie(b.role, b.index, b.attempt, b.name);
  }
};

// "digits-worker-3", and "digits-worker-3-2" for the third pod of that index.
std::string PodName(const std::string& job, PodRole role, std::int64_t index, std::int64_t attempt);

// nullopt when it is no pod of ours: no ElephasJob controls it, or its labels and its name are not
// what we give such a pod. Copied labels alone make no pod ours.
std::optional<Pod> DecodePod(const nlohmann::json& object);

// Of each index the pod with the highest attempt, by index. Pointers into `pods`.
std::vector<const Pod*> LatestPods(const std::vector<Pod>& pods, PodRole role);

// Is it a pod that does its work or will: neither ended nor on its way out?
inline bool IsActive(const Pod& pod) {
  return !pod.deleting && (pod.phase == PodPhase::kPending || pod.phase == PodPhase::kRunning);
}

}  // namespace elephas
