// A good job beside one that may be anything, in a cluster in memory: for the tests and the fuzzer
// that show that the good one is served whatever the other one is, and that what is told of the bad
// one is what an API server takes.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "kube/object_text.h"
#include "operator/state/progress.h"
#include "operator/status/conditions.h"
#include "operator/testing/world.h"

namespace elephas {

// What the operator sees of the cluster in memory: every object goes through its text, as on the
// way from an API server.
class TextView final : public ClusterView {
 public:
  explicit TextView(const kube::FakeClient& client) : client_(client) {}
  [[nodiscard]] Result<nlohmann::json> FindJob(const kube::ObjectName& name) const override {
    const auto job = client_.Find(kube::kElephasJob, name);
    if (!job) return NotFound("no such job");
    return kube::ParseObject(JsonText(*job), kBounds);
  }
  [[nodiscard]] std::vector<Pod> PodsOf(const std::string& ns,
                                        const std::string& uid) const override {
    std::vector<Pod> out;
    for (const auto& object : client_.All(kube::kPod)) {
      const auto seen = kube::ParseObject(JsonText(object), kBounds);
      auto pod = seen.ok() ? DecodePod(*seen) : std::nullopt;
      if (pod && pod->owner_uid == uid && kube::NameOf(object).ns == ns) {
        out.push_back(*std::move(pod));
      }
    }
    return out;
  }

 private:
  static constexpr JsonBounds kBounds{.bytes = 1'200'000, .depth = 100, .nodes = 150'000};
  const kube::FakeClient& client_;
};

class Neighbours {
 public:
  Neighbours() { client.Put(kube::kElephasJob, MakeJob(kGood.name).Object()); }

  // The bad job, whatever it is but for its name.
  void PutBad(nlohmann::json object) {
    if (!object.is_object()) object = nlohmann::json::object();
    nlohmann::json metadata = MemberOf(object, "metadata");
    if (!metadata.is_object()) metadata = nlohmann::json::object();
    metadata["name"] = kBad.name;
    metadata["namespace"] = kBad.ns;
    for (const char* servers_own : {"finalizers", "ownerReferences", "generateName"}) {
      metadata.erase(servers_own);
    }
    object["metadata"] = std::move(metadata);
    // What the schema of the status sees to; it is not the operator's, so that it would stay.
    if (const nlohmann::json status = MemberOf(object, "status"); status.is_object()) {
      for (const char* number : kNumbers) {
        if (!MemberOf(status, number).is_number()) object["status"].erase(number);
      }
    }
    client.Put(kube::kElephasJob, std::move(object));
  }
  // What kubelets and schedulers say of all of the bad job's pods.
  void BadPodsSay(const nlohmann::json& status) {
    for (const auto& pod : PodsOf(kBad)) client.PutStatus(kube::kPod, kube::NameOf(pod), status);
  }
  // What server 0 answers.
  void BadServerSays(const std::string& text) {
    if (auto progress = ProgressFromText(text)) poller.latest[UidOf(kBad)] = *std::move(progress);
  }
  // A stranger's pod.
  void PutPod(nlohmann::json object, const std::string& name) {
    if (!object.is_object()) object = nlohmann::json::object();
    if (!MemberOf(object, "metadata").is_object()) object["metadata"] = nlohmann::json::object();
    object["metadata"]["name"] = name;
    object["metadata"]["namespace"] = kGood.ns;
    client.Put(kube::kPod, std::move(object));
  }
  void KubeletsStartGoodPods() {
    for (const auto& pod : PodsOf(kGood)) {
      if (TextAt(pod, "/status/phase") == "Running") continue;
      const std::string role = TextOf(At(pod, "/metadata/labels"), names::kAppComponent);
      nlohmann::json container{{"name", role}, {"restartCount", 0}};
      container["state"]["running"]["startedAt"] = kube::TimeText(clock.now_ms);
      nlohmann::json status{{"phase", "Running"}, {"podIP", "10.0.0.7"}};
      status["conditions"] = nlohmann::json::array({{{"type", "Ready"}, {"status", "True"}}});
      status["containerStatuses"] = nlohmann::json::array({std::move(container)});
      client.PutStatus(kube::kPod, kube::NameOf(pod), std::move(status));
    }
  }

  // Until neither has anything to do; "" or what is wrong with that. Exceptions come through.
  std::string Drain() {
    for (int i = 0; i < 40; ++i) {
      bool quiet = true;
      for (const kube::ObjectName& name : {kBad, kGood}) {
        const auto wake = reconciler_->Reconcile(name);
        const bool wrote = !client.TakeCalls().empty();
        quiet = quiet && wake.ok() && !wrote;
        if (!wake.ok() && name == kGood) return "the good job: " + wake.status().message();
        if (!wake.ok() && wake.status().code() == Code::kInternal) return wake.status().message();
      }
      if (quiet) return "";
    }
    return "it never ends: " + JsonText(StatusOf(kBad));
  }
  // The whole story: both start, the bad one's pods and server say what they say, both go on.
  std::string Live(const nlohmann::json& pod_status, const std::string& answer) {
    for (int round = 0; round < 3; ++round) {
      if (std::string wrong = Drain(); !wrong.empty()) return wrong;
      KubeletsStartGoodPods();
      BadPodsSay(pod_status);
      BadServerSays(answer);
    }
    if (std::string wrong = Drain(); !wrong.empty()) return wrong;
    if (std::string wrong = CheckStatus(StatusOf(kBad)); !wrong.empty()) return wrong;
    const auto good = StatusOf(kGood);
    if (TextAt(good, "/state") != "Running" || PodsOf(kGood).size() != 3) {
      return "the good job is not served: " + JsonText(good);
    }
    return "";
  }

  // Would an API server take it? "" or why not.
  static std::string CheckStatus(const nlohmann::json& status) {
    try {
      static_cast<void>(status.dump());
    } catch (const nlohmann::json::exception& error) {
      return error.what();
    }
    if (MemberOf(status, "conditions").empty()) return "nothing is told";
    for (const auto& condition : status["conditions"]) {
      const std::string message = TextOf(condition, "message");
      if (!IsReason(TextOf(condition, "reason"))) return "a reason that is none";
      if (message.size() > 32'768) return "a message that is too long";
      if (!kube::ParseTime(TextOf(condition, "lastTransitionTime"))) return "a time that is none";
    }
    for (const char* number : kNumbers) {
      if (status.contains(number) && !status[number].is_number()) return number;
    }
    return JsonText(status).size() > 1'000'000 ? "a status that is too large" : "";
  }

  [[nodiscard]] nlohmann::json StatusOf(const kube::ObjectName& name) const {
    const auto job = client.Find(kube::kElephasJob, name);
    return job ? MemberOf(*job, "status") : nlohmann::json();
  }
  // Of the condition that says how the job is.
  [[nodiscard]] std::string Told(const kube::ObjectName& name, const char* type = "Failed") const {
    const auto status = StatusOf(name);
    const auto* condition = FindCondition(status, type);
    return condition == nullptr
               ? ""
               : TextOf(*condition, "reason") + ": " + TextOf(*condition, "message");
  }
  [[nodiscard]] std::vector<nlohmann::json> PodsOf(const kube::ObjectName& name) const {
    std::vector<nlohmann::json> out;
    const std::string uid = UidOf(name);
    for (auto& pod : client.All(kube::kPod)) {
      for (const auto& owner : At(pod, "/metadata/ownerReferences")) {
        if (Says(owner, "uid", uid) && kube::NameOf(pod).name.starts_with(name.name + "-")) {
          out.push_back(pod);
          break;
        }
      }
    }
    return out;
  }
  [[nodiscard]] std::string UidOf(const kube::ObjectName& name) const {
    const auto job = client.Find(kube::kElephasJob, name);
    return job ? TextAt(*job, "/metadata/uid") : "";
  }

  static constexpr std::array kNumbers{"loss", "examplesPerSecond", "epoch", "epochs", "progress"};
  static inline const kube::ObjectName kGood{"default", "good"}, kBad{"default", "bad"};
  WorldClock clock;
  kube::FakeClient client{clock};
  TextView view{client};
  WorldProgress poller;
  std::vector<std::string> events;

 private:
  std::unique_ptr<Reconciler> reconciler_ = std::make_unique<Reconciler>(
      Reconciler::Parts{
          client, view, poller,
          [this](const Job&, const JobEvent& event) { events.push_back(event.reason); }, clock},
      Settings{});
};

}  // namespace elephas
