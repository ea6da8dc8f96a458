// Jobs, pods and observations for tests, said in few words.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/base/names.h"
#include "common/base/timestamp.h"
#include "operator/state/job.h"
#include "operator/state/observed.h"
#include "operator/state/pod.h"

namespace elephas {

// 2026-03-01T12:00:00Z: when tests begin.
inline constexpr std::int64_t kStart = 1'772'366'400'000;

class MakeJob {
 public:
  explicit MakeJob(const std::string& name) {
    object_ = {{"apiVersion", "elephas.dev/v1alpha1"},
               {"kind", "ElephasJob"},
               {"metadata",
                {{"name", name},
                 {"namespace", "default"},
                 {"uid", "uid-" + name},
                 {"generation", 1},
                 {"resourceVersion", "1"}}},
               {"spec",
                {{"model", {{"uri", "model.json"}}},
                 {"compile", {{"optimizer", "sgd"}, {"loss", "mse"}}},
                 {"data", {{"uri", "data.npz"}, {"partitions", 8}}},
                 {"workers", {{"replicas", 2}, {"template", DataTemplate()}}},
                 {"output", {{"uri", "out"}}}}}};
  }
  static nlohmann::json DataTemplate() {
    return {{"spec",
             {{"volumes",
               nlohmann::json::array(
                   {{{"name", "data"}, {"persistentVolumeClaim", {{"claimName", "digits"}}}}})}}}};
  }
  MakeJob& Set(const char* pointer, nlohmann::json value) {
    object_[nlohmann::json::json_pointer(pointer)] = std::move(value);
    return *this;
  }
  MakeJob& Workers(int count) { return Set("/spec/workers/replicas", count); }
  MakeJob& Servers(int count) { return Set("/spec/parameterServers/replicas", count); }
  MakeJob& BackoffLimit(int limit) { return Set("/spec/runPolicy/backoffLimit", limit); }
  MakeJob& Suspend() { return Set("/spec/runPolicy/suspend", true); }
  MakeJob& Status(const char* pointer, nlohmann::json value) {
    object_["status"][nlohmann::json::json_pointer(pointer)] = std::move(value);
    return *this;
  }
  MakeJob& StartedAt(std::int64_t ms) { return Status("/startTime", kube::TimeText(ms)); }
  MakeJob& Condition(std::string_view type, std::string_view status, std::string_view reason) {
    object_["status"]["conditions"].push_back({{"type", type},
                                               {"status", status},
                                               {"reason", reason},
                                               {"message", ""},
                                               {"lastTransitionTime", kube::TimeText(kStart)}});
    return *this;
  }
  MakeJob& FinishedAt(std::int64_t ms, bool succeeded) {
    Condition(succeeded ? names::kSucceeded : names::kFailed, "True", "Test");
    return Status("/completionTime", kube::TimeText(ms));
  }
  [[nodiscard]] const nlohmann::json& Object() const { return object_; }
  operator Job() const { return ParseJob(object_); }  // NOLINT(google-explicit-constructor)

 private:
  nlohmann::json object_;
};

// A pod as decisions see it; running and ready unless said otherwise.
class MakePodOf {
 public:
  MakePodOf(PodRole role, std::int64_t index, std::int64_t attempt = 0) {
    pod_.role = role;
    pod_.index = index;
    pod_.attempt = attempt;
    pod_.name = "digits-" + std::string(Word(role)) + "-" + std::to_string(index) +
                (attempt > 0 ? "-" + std::to_string(attempt) : "");
    pod_.uid = "uid-" + pod_.name;
    pod_.phase = PodPhase::kRunning;
    pod_.ready = true;
    pod_.created_ms = pod_.running_ms = kStart;
    pod_.ip = "10.0.0.7";
    pod_.node = "node-a";
  }
  MakePodOf& Pending() {
    pod_.phase = PodPhase::kPending;
    pod_.ready = false;
    pod_.running_ms = 0;
    pod_.node.clear();
    return *this;
  }
  MakePodOf& NotReady() {
    pod_.ready = false;
    return *this;
  }
  MakePodOf& Waiting(std::string reason, std::string message) {
    Pending();
    pod_.waiting_reason = std::move(reason);
    pod_.waiting_message = std::move(message);
    return *this;
  }
  MakePodOf& Unschedulable(std::string message) {
    Pending();
    pod_.unschedulable = std::move(message);
    return *this;
  }
  MakePodOf& Ended(int code, std::string reason, std::string message = "",
                   std::int64_t at = kStart + 1000) {
    pod_.phase = code == 0 ? PodPhase::kSucceeded : PodPhase::kFailed;
    pod_.ready = false;
    pod_.running_ms = 0;
    pod_.end = ContainerEnd{code, std::move(reason), std::move(message), at};
    return *this;
  }
  // A server's container that was started again in place.
  MakePodOf& Restarted(std::int64_t times, int code, std::string reason,
                       std::int64_t at = kStart + 1000, std::string message = "") {
    pod_.restarts = times;
    pod_.running_ms = at + 1000;
    pod_.previous_end = ContainerEnd{code, std::move(reason), std::move(message), at};
    return *this;
  }
  MakePodOf& Evicted() {
    pod_.phase = PodPhase::kFailed;
    pod_.ready = false;
    pod_.disrupted = true;
    pod_.reason = "Evicted";
    pod_.message = "the node was low on memory";
    return *this;
  }
  MakePodOf& Deleting(std::int64_t by = kStart + 30'000) {
    pod_.deleting = true;
    pod_.deleted_by_ms = by;
    return *this;
  }
  MakePodOf& Failures(std::int64_t count) {
    pod_.failures = count;
    return *this;
  }
  MakePodOf& InARow(std::int64_t count) {
    pod_.failures_in_a_row = count;
    return *this;
  }
  // Our container has ended, a sidecar runs on.
  MakePodOf& Lingers() {
    pod_.lingers = true;
    return *this;
  }
  MakePodOf& WithDeadline(std::int64_t seconds) {
    pod_.deadline_seconds = seconds;
    return *this;
  }
  MakePodOf& Gated(std::vector<std::string> gates) {
    Pending();
    pod_.gates = std::move(gates);
    return *this;
  }
  MakePodOf& InitFailed(std::string container, int code, std::string message,
                        std::int64_t at = kStart + 1000) {
    Pending();
    if (pod_.role == PodRole::kWorker) pod_.phase = PodPhase::kFailed;
    pod_.init_failure = InitFailure{std::move(container), {code, "Error", std::move(message), at}};
    return *this;
  }
  MakePodOf& CreatedAt(std::int64_t ms) {
    pod_.created_ms = ms;
    return *this;
  }
  operator Pod() const { return pod_; }  // NOLINT(google-explicit-constructor)

 private:
  Pod pod_;
};

inline MakePodOf Server(std::int64_t index = 0, std::int64_t attempt = 0) {
  return {PodRole::kServer, index, attempt};
}
inline MakePodOf Worker(std::int64_t index, std::int64_t attempt = 0) {
  return {PodRole::kWorker, index, attempt};
}

inline Observed Seen(std::vector<Pod> pods) {
  Observed observed;
  observed.pods = std::move(pods);
  std::sort(observed.pods.begin(), observed.pods.end());
  return observed;
}

}  // namespace elephas
