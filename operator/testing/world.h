// A cluster in memory with one operator, for tests that tell the life of a job: what users,
// kubelets and servers do is said in one line each, then the operator works until it has nothing to
// do, then the whole state is compared.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "kube/testing/fake_client.h"
#include "operator/reconciler.h"
#include "operator/testing/builders.h"

namespace elephas {

class WorldClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override {
    return TimePoint(std::chrono::milliseconds(now_ms));
  }
  [[nodiscard]] std::int64_t UnixMillis() const override { return now_ms; }
  std::int64_t now_ms = kStart;
};

// The API server's truth, without the delay of a watch; or, frozen, as it was.
class WorldView final : public ClusterView {
 public:
  explicit WorldView(const kube::FakeClient& client) : client_(client) {}
  [[nodiscard]] Result<nlohmann::json> FindJob(const kube::ObjectName& name) const override {
    if (!frozen) {
      auto job = client_.Find(kube::kElephasJob, name);
      return job ? Result<nlohmann::json>(*std::move(job)) : NotFound("no such job");
    }
    const auto found = jobs_.find(name);
    return found == jobs_.end() ? NotFound("no such job") : Result<nlohmann::json>(found->second);
  }
  [[nodiscard]] std::vector<Pod> PodsOf(const std::string& ns,
                                        const std::string& uid) const override {
    std::vector<Pod> out;
    for (const auto& object : frozen ? pods_ : client_.All(kube::kPod)) {
      auto pod = DecodePod(object);
      if (pod && pod->owner_uid == uid && kube::NameOf(object).ns == ns) {
        out.push_back(*std::move(pod));
      }
    }
    return out;
  }
  void Freeze() {
    for (const auto& job : client_.All(kube::kElephasJob)) jobs_[kube::NameOf(job)] = job;
    pods_ = client_.All(kube::kPod);
    frozen = true;
  }

  bool frozen = false;

 private:
  const kube::FakeClient& client_;
  std::map<kube::ObjectName, nlohmann::json> jobs_;
  std::vector<nlohmann::json> pods_;
};

class WorldProgress final : public ProgressSource {
 public:
  void Follow(const std::string& uid, const kube::ObjectName&,
              const ServerAddress& address) override {
    followed[uid] = address.url;
  }
  void Pause(const std::string& uid) override { followed.erase(uid); }
  void Forget(const std::string& uid) override {
    followed.erase(uid);
    latest.erase(uid);
  }
  [[nodiscard]] std::optional<Progress> Latest(const std::string& uid) const override {
    const auto found = latest.find(uid);
    return found == latest.end() ? std::nullopt : std::optional(found->second);
  }
  void GiveBack(const std::string&, const kube::ObjectName&, const ServerAddress&,
                const std::string& worker) override {
    given_back.push_back(worker);
  }

  std::map<std::string, std::string> followed;
  std::map<std::string, Progress> latest;
  std::vector<std::string> given_back;
};

class World {
 public:
  World() { RestartOperator(); }

  // --- users ---
  void Apply(const MakeJob& job) { client.Put(kube::kElephasJob, job.Object()); }
  void Change(const char* pointer, const nlohmann::json& value) {
    auto job = *client.Find(kube::kElephasJob, kName);
    job[nlohmann::json::json_pointer(pointer)] = value;
    job["metadata"]["generation"] = job["metadata"].value("generation", 1) + 1;
    client.Put(kube::kElephasJob, job);
  }

  // As kubectl delete without --wait: the job is gone, what belonged to it is still there, its pods
  // terminating.
  void DeleteJobOnly() {
    std::vector<std::pair<kube::Kind, nlohmann::json>> left;
    for (const kube::Kind& kind : kOwned) {
      for (auto& object : client.All(kind)) left.emplace_back(kind, std::move(object));
    }
    client.Remove(kube::kElephasJob, kName);
    for (auto& [kind, object] : left) {
      if (kind == kube::kPod) object["metadata"]["deletionTimestamp"] = Now();
      client.Put(kind, object);
    }
  }
  // Garbage collection and kubelets have done their work.
  void WhatHasNoJobGoes() {
    const auto job = client.Find(kube::kElephasJob, kName);
    const auto uid = job ? job->at("/metadata/uid"_json_pointer) : nlohmann::json();
    for (const kube::Kind& kind : kOwned) {
      for (const auto& object : client.All(kind)) {
        if (object.value("/metadata/ownerReferences/0/uid"_json_pointer, nlohmann::json()) != uid) {
          client.Remove(kind, kube::NameOf(object));
        }
      }
    }
  }

  // --- kubelets, nodes and time ---
  // Every pod that is pending runs and is ready.
  void KubeletsStartPods() {
    for (const auto& pod : client.All(kube::kPod)) {
      if (pod.value("/status/phase"_json_pointer, "Pending") == "Pending")
        PodRuns(kube::NameOf(pod).name);
    }
  }
  void PodRuns(const std::string& name) {
    client.PutStatus(kube::kPod, {"default", name},
                     {{"phase", "Running"},
                      {"podIP", "10.0.0.7"},
                      {"conditions", {{{"type", "Ready"}, {"status", "True"}}}},
                      {"containerStatuses",
                       {{{"name", RoleOf(name)},
                         {"restartCount", 0},
                         {"state", {{"running", {{"startedAt", Now()}}}}}}}}});
  }
  void PodWaits(const std::string& name, const std::string& reason, const std::string& message) {
    client.PutStatus(kube::kPod, {"default", name},
                     {{"phase", "Pending"},
                      {"containerStatuses",
                       {{{"name", RoleOf(name)},
                         {"state", {{"waiting", {{"reason", reason}, {"message", message}}}}}}}}});
  }
  void PodEnds(const std::string& name, int code, const std::string& reason,
               const std::string& message = "") {
    client.PutStatus(kube::kPod, {"default", name},
                     {{"phase", code == 0 ? "Succeeded" : "Failed"},
                      {"containerStatuses",
                       {{{"name", RoleOf(name)},
                         {"state",
                          {{"terminated",
                            {{"exitCode", code},
                             {"reason", reason},
                             {"message", message},
                             {"finishedAt", Now()}}}}}}}}});
  }
  // Our container has ended, a sidecar runs on.
  void PodEndsBesideASidecar(const std::string& name, int code) {
    client.PutStatus(
        kube::kPod, {"default", name},
        {{"phase", "Running"},
         {"containerStatuses",
          {{{"name", "sidecar"}, {"state", {{"running", {{"startedAt", Now()}}}}}},
           {{"name", RoleOf(name)},
            {"state", {{"terminated", {{"exitCode", code}, {"finishedAt", Now()}}}}}}}}});
  }
  void PodFails(const std::string& name) { PodEnds(name, 1, "Error", "could not join"); }
  void Advance(std::chrono::milliseconds time) { clock.now_ms += time.count(); }

  // --- servers ---
  void ServerSays(Progress progress) {
    progress.epochs = 2;
    poller.latest[Uid()] = progress;
  }
  // The API server's choice.
  [[nodiscard]] std::string Uid() const {
    return client.Find(kube::kElephasJob, kName)->at("/metadata/uid"_json_pointer);
  }
  void JobEnds(const char* state) {
    PodEnds("digits-paramserver-0", 0, "Completed",
            nlohmann::json{{"state", state},
                           {"reason", ""},
                           {"message", "loss is NaN"},
                           {"epoch", 2},
                           {"epochs", 2},
                           {"progress", 1.0},
                           {"metrics", {{"loss", 0.25}}},
                           {"outputs", {"/data/out/model.keras"}}}
                .dump());
  }

  // --- the operator ---
  void RestartOperator() {
    poller = {};
    reconciler_ = std::make_unique<Reconciler>(
        Reconciler::Parts{client, view, poller,
                          [this](const Job&, const JobEvent& event) {
                            events.push_back((event.warning ? "Warning " : "Normal ") +
                                             event.reason);
                          },
                          clock},
        Settings{});
  }
  Status ReconcileOnce() {
    const auto wake = reconciler_->Reconcile(kName);
    next_wake = wake.ok() ? *wake : std::nullopt;
    return wake.status();
  }
  // Until a reconcile writes nothing; each write wakes the next one, as a watch would.
  void DrainQueue() {
    for (int i = 0; i < 50; ++i) {
      const Status status = ReconcileOnce();
      const auto writes = client.TakeCalls();
      calls.insert(calls.end(), writes.begin(), writes.end());
      if (status.ok() && writes.empty()) return;
    }
    calls.emplace_back("it never ends");
  }

  // "Running 2/2 Training", then a line for each pod; "" without a job.
  [[nodiscard]] std::string State() const {
    const auto job = client.Find(kube::kElephasJob, kName);
    std::string out;
    if (job) {
      const auto& status = (*job)["status"];
      out = status.value("state", "?") + " " + status.value("/workers/summary"_json_pointer, "?");
      for (const char* type : {"Running", "Failed", "Succeeded"}) {
        const auto* condition = FindCondition(status, type);
        if (condition == nullptr) continue;
        if (type == std::string("Running") || condition->value("status", "") == "True") {
          out += " " + condition->value("reason", "");
        }
      }
      out += "\n";
    }
    for (const auto& pod : client.All(kube::kPod)) {
      out += kube::NameOf(pod).name + " " +
             pod.value("/status/phase"_json_pointer, std::string("Pending")) + "\n";
    }
    return out;
  }
  [[nodiscard]] nlohmann::json JobStatus() const {
    return (*client.Find(kube::kElephasJob, kName))["status"];
  }
  [[nodiscard]] std::string MessageOf(const char* type) const {
    const auto status = JobStatus();
    const auto* condition = FindCondition(status, type);
    return condition == nullptr ? "" : condition->value("message", "");
  }
  [[nodiscard]] std::string Now() const { return kube::TimeText(clock.now_ms); }

  static inline const std::vector<kube::Kind> kOwned{kube::kPod, kube::kSecret, kube::kService,
                                                     kube::kNetworkPolicy};
  static inline const kube::ObjectName kName{"default", "digits"};
  WorldClock clock;
  kube::FakeClient client{clock};
  WorldView view{client};
  std::vector<std::string> events, calls;
  std::optional<std::chrono::milliseconds> next_wake;
  WorldProgress poller;

 private:
  static std::string RoleOf(const std::string& name) {
    return name.find("-paramserver-") != std::string::npos ? "paramserver" : "worker";
  }
  std::unique_ptr<Reconciler> reconciler_;
};

}  // namespace elephas
