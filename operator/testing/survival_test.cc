// Issue 11: whatever one object, pod or server says, the operator lives and the job beside it is
// served.
#include "operator/testing/survival.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/base/utf8.h"

namespace elephas {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string Times(const std::string& text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

json Ended(const json& terminated) {
  json status{{"phase", "Failed"}, {"podIP", "10.0.0.8"}};
  for (const char* name : {"paramserver", "worker"}) {
    status["containerStatuses"].push_back(
        {{"name", name}, {"state", {{"terminated", terminated}}}});
  }
  return status;
}

const json kNothing = json::object();

// --- what was seen ---------------------------------------------------------------------------

TEST(Survival, ATemplateThatCannotBeReadIsToldWithItsPath) {
  struct Case {
    const char* pointer = "";
    json value;
    const char* told = "";
  };
  const std::string at = "/spec/workers/template";
  const Case cases[] = {
      {"/spec/hostNetwork", "yes", "spec.hostNetwork: must be true or false, not the text 'yes'"},
      {"/spec/volumes", json::parse(R"([{"name": 5}])"),
       "spec.volumes[0].name: must be text, not 5; put it in quotes"},
      {"/spec/volumes", json::parse(R"([{"name": "data"}, null])"),
       "spec.volumes[1]: must be a mapping, not nothing"},
      {"/spec/containers", json::parse(R"([{"volumeMounts": ["x"]}])"),
       "spec.containers[0].volumeMounts[0]: must be a mapping, not the text 'x'"},
      {"/spec/containers", json::parse(R"([{"volumeMounts": [{"name": [], "mountPath": "/x"}]}])"),
       "spec.containers[0].volumeMounts[0].name: must be text, not a list"},
      {"/spec/containers", json::parse(R"([{"name": "worker", "resources": "x"}])"),
       "spec.containers[0].resources: must be a mapping, not the text 'x'"},
      {"/spec/containers", json::parse(R"([{"resources": {"limits": ["nvidia.com/gpu"]}}])"),
       "spec.containers[0].resources.limits: must be a mapping, not a list"},
      {"/spec/containers", json::parse(R"([{"name": 3}])"),
       "spec.containers[0].name: must be text, not 3; put it in quotes"},
      {"/spec/containers", json::parse(R"([{"env": {"A": "b"}}])"),
       "spec.containers[0].env: must be a list, not a mapping"},
      {"/spec/containers", json::parse(R"([{"ports": [{"containerPort": "http"}]}])"),
       "spec.containers[0].ports[0].containerPort: must be an integer, not the text 'http'"},
      {"/spec/initContainers", json::parse(R"([{"name": "first", "image": false}])"),
       "spec.initContainers[0].image: must be text, not false; put it in quotes"},
      {"/spec/tolerations", "all", "spec.tolerations: must be a list, not the text 'all'"},
      {"/spec", "x", "spec: must be a mapping, not the text 'x'"},
      {"/metadata", json::array({1}), "metadata: must be a mapping, not a list"},
  };
  for (const char* device : {"auto", "cuda"}) {
    for (const Case& test : cases) {
      Neighbours cluster;
      cluster.PutBad(MakeJob("bad")
                         .Set((at + test.pointer).c_str(), test.value)
                         .Set("/spec/workers/device", device)
                         .Set("/spec/mode", "synchronous")
                         .Object());
      EXPECT_EQ(cluster.Live(kNothing, ""), "") << test.told;
      EXPECT_EQ(cluster.Told(Neighbours::kBad),
                std::string("TemplateInvalid: spec.workers.template.") + test.told);
    }
  }
}

TEST(Survival, NullTakesNothingAwayThatAPodCannotDoWithout) {
  for (const char* overlay :
       {R"({"metadata": {"labels": null, "annotations": null}})",
        R"({"spec": {"containers": null, "volumes": null, "initContainers": null}})",
        R"({"spec": {"containers": [{"name": null, "env": null, "volumeMounts": null,
             "ports": null, "resources": null, "image": null}]}})",
        R"({"spec": {"containers": [{"resources": {"limits": null, "requests": null}}]}})"}) {
    Neighbours cluster;
    cluster.PutBad(MakeJob("bad")
                       .Set("/spec/workers/template", json::parse(overlay))
                       .Set("/spec/parameterServers/template", json::parse(overlay))
                       .Set("/spec/workers/device", "cuda")
                       .Set("/spec/output/uri", "/elsewhere/out")
                       .Object());
    EXPECT_EQ(cluster.Drain(), "") << overlay;
    ASSERT_EQ(cluster.PodsOf(Neighbours::kBad).size(), 1U) << overlay;
    const json pod = cluster.PodsOf(Neighbours::kBad).front();
    EXPECT_TRUE(DecodePod(pod)) << overlay;
    EXPECT_EQ(pod["spec"]["containers"][0]["volumeMounts"][0]["name"], "elephas-job") << overlay;
  }
}

// The last line of a log is longer than what is quoted, with a character at the cut.
TEST(Survival, ALongLastLineIsCutBetweenTwoCharacters) {
  for (std::size_t blanks = 0; blanks < 4; ++blanks) {
    const std::string message = "trace\n" + std::string(blanks, 'x') + Times("象", 300);
    Neighbours cluster;
    cluster.PutBad(MakeJob("bad").BackoffLimit(0).Object());
    json status = json::parse(R"({"phase": "Running", "podIP": "10.0.0.8",
      "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
        {"name": "paramserver", "state": {"running": {"startedAt": "2026-03-01T12:00:00Z"}}},
        {"name": "worker", "state": {"terminated": {"exitCode": 1}}}]})");
    status["containerStatuses"][1]["state"]["terminated"]["message"] = message;
    EXPECT_EQ(cluster.Live(status, ""), "");
    const std::string told = cluster.Told(Neighbours::kBad);
    EXPECT_EQ(ValidUtf8(told), told);
    EXPECT_THAT(told, AllOf(StartsWith("BackoffLimitExceeded: "), HasSubstr("象象象")));
  }
}

TEST(Survival, AMessageOfManyElephantsIsCutToWhatTheApiTakes) {
  Neighbours cluster;
  cluster.PutBad(MakeJob("bad").Object());
  EXPECT_EQ(cluster.Live(Ended({{"exitCode", 3}, {"message", Times("象", 12'000)}}), ""), "");
}

TEST(Survival, ThousandsOfProblemsAreToldInOneCondition) {
  json weights = json::object();
  for (int i = 0; i < 3'000; ++i) weights["象" + std::to_string(i)] = 1;
  Neighbours cluster;
  cluster.PutBad(MakeJob("bad").Set("/spec/fit/classWeight", weights).Object());
  EXPECT_EQ(cluster.Live(kNothing, ""), "");
  EXPECT_THAT(cluster.Told(Neighbours::kBad),
              AllOf(StartsWith("InvalidSpec: spec.fit.classWeight"), HasSubstr(" more")));
}

TEST(Survival, AReasonThatIsNoneIsToldInTheMessage) {
  Neighbours cluster;
  cluster.PutBad(MakeJob("bad").Object());
  const std::string answer =
      R"({"state": "Failed", "reason": "no such\nword: 象", "message": "why"})";
  EXPECT_EQ(cluster.Live(Ended({{"exitCode", 0}, {"message", answer}}), answer), "");
  EXPECT_EQ(cluster.Told(Neighbours::kBad), "Failed: no such\nword: 象: why");
}

TEST(Survival, AJobThatIsTooLargeIsToldAndNotHeld) {
  json layers = json::array();
  for (int i = 0; i < 100'000; ++i) layers.push_back(json::array());
  json deep = 1;
  for (int i = 0; i < 500; ++i) deep = json::array({deep});
  const std::vector<std::pair<json, std::string>> models{
      {{{"config", std::string(1'400'000, 'x')}}, "has 14"},
      {{{"config", std::string(1'100'000, 'x')}}, "it has 110"},
      {{{"config", layers}, {"more", layers}}, "holds more than 150000 values"},
      {{{"config", deep}}, "nested deeper than 100 levels"}};
  for (const auto& [model, why] : models) {
    Neighbours cluster;
    cluster.PutBad(MakeJob("bad").Set("/spec/model", {{"inline", model}}).Object());
    EXPECT_EQ(cluster.Live(kNothing, ""), "") << why;
    EXPECT_THAT(cluster.Told(Neighbours::kBad),
                AllOf(StartsWith("InvalidSpec: the job is too large"), HasSubstr(why)));
    EXPECT_TRUE(cluster.PodsOf(Neighbours::kBad).empty());
  }
}

TEST(Survival, AStatusThatTheApiServerRefusesIsToldInOtherWords) {
  Neighbours cluster;
  cluster.PutBad(MakeJob("bad").Object());
  cluster.client.FailNext({.verb = "apply-status", .kind = "ElephasJob", .name = "bad"},
                          Invalid("status.loss: must be a number"), 1);
  EXPECT_EQ(cluster.Drain(), "");
  EXPECT_THAT(cluster.Told(Neighbours::kBad),
              AllOf(StartsWith("InternalError: "), HasSubstr("status.loss: must be a number")));
  EXPECT_THAT(cluster.events, testing::Contains("InternalError").Times(1));
}

// --- whose pods ------------------------------------------------------------------------------

// A pod with copied labels and a high attempt made the operator delete the real server, and ask
// the stranger with the job's token.
TEST(Survival, CopiedLabelsMakeNoPodOurs) {
  Neighbours cluster;
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(cluster.Drain(), "");
    cluster.KubeletsStartGoodPods();
  }
  ASSERT_EQ(cluster.Drain(), "");
  const json server = *cluster.client.Find(kube::kPod, {"default", "good-paramserver-0"});
  const json owner = server["metadata"]["ownerReferences"][0];
  const auto with = [&](const char* field, const json& value) {
    json reference = owner;
    reference[field] = value;
    return json::array({reference});
  };
  const std::vector<json> references{
      nullptr,
      json::array(),
      with("uid", "another"),
      with("controller", false),
      with("kind", "Job"),
      with("apiVersion", "elephas.dev.evil.example/v1"),
      with("uid", 5),
      json::array({5}),
  };
  int next = 0;
  for (const json& reference : references) {
    json copy = server;
    copy["metadata"]["labels"]["elephas.dev/attempt"] = "9000";
    copy["metadata"]["ownerReferences"] = reference;
    copy["status"]["podIP"] = "10.6.6.6";
    cluster.PutPod(copy, "stranger-" + std::to_string(next++));
    cluster.PutPod(copy, "good-paramserver-0-9000");
    EXPECT_FALSE(DecodePod(copy));
    EXPECT_EQ(cluster.Drain(), "");
    EXPECT_TRUE(cluster.client.Find(kube::kPod, {"default", "good-paramserver-0"}));
    EXPECT_EQ(cluster.poller.followed[cluster.UidOf(Neighbours::kGood)], "http://10.0.0.7:4000");
    EXPECT_EQ(TextAt(cluster.StatusOf(Neighbours::kGood), "/state"), "Running");
  }
}

TEST(Survival, ALabelOfTheWrongJobOrANameOfTheWrongPodMakesAPodNobodys) {
  Neighbours cluster;
  cluster.Drain();
  const json server = *cluster.client.Find(kube::kPod, {"default", "good-paramserver-0"});
  ASSERT_TRUE(DecodePod(server));
  for (const auto& [pointer, value] : std::vector<std::pair<const char*, json>>{
           {"/metadata/labels/elephas.dev~1job-uid", "another"},
           {"/metadata/labels/elephas.dev~1index", "1"},
           {"/metadata/labels/elephas.dev~1index", "99999999999999999999"},
           {"/metadata/labels/elephas.dev~1attempt", "9223372036854775807"},
           {"/metadata/labels/app.kubernetes.io~1component", "worker"},
           {"/metadata/labels", 5},
           {"/metadata/name", "good-paramserver-00"}}) {
    json other = server;
    other[json::json_pointer(pointer)] = value;
    EXPECT_FALSE(DecodePod(other)) << pointer;
  }
}

TEST(Survival, AServerIsAskedAtAnAddressOnly) {
  Neighbours cluster;
  cluster.Drain();
  cluster.KubeletsStartGoodPods();
  cluster.Drain();
  const std::string uid = cluster.UidOf(Neighbours::kGood);
  ASSERT_TRUE(cluster.poller.followed.contains(uid));
  auto status = cluster.client.Find(kube::kPod, {"default", "good-paramserver-0"})->at("status");
  for (const char* address : {"example.org", "10.0.0.7@10.6.6.6", "10.0.0.7:80/x?", ""}) {
    status["podIP"] = address;
    cluster.client.PutStatus(kube::kPod, {"default", "good-paramserver-0"}, status);
    cluster.Drain();
    EXPECT_FALSE(cluster.poller.followed.contains(uid)) << address;
  }
  status["podIP"] = "fd00::7";
  cluster.client.PutStatus(kube::kPod, {"default", "good-paramserver-0"}, status);
  cluster.Drain();
  EXPECT_EQ(cluster.poller.followed[uid], "http://[fd00::7]:4000");
}

// --- anything --------------------------------------------------------------------------------

class Chaos {
 public:
  explicit Chaos(std::uint64_t seed) : random_(seed) {}

  // Changes the value in a few places.
  json Damaged(json value) {
    for (int changes = Below(4) + 1; changes > 0; --changes) Damage(AnyPlace(value));
    return value;
  }
  std::string DamagedText(const json& value) {
    std::string text = JsonText(Damaged(value));
    if (Below(4) == 0 && !text.empty()) text[Below(static_cast<int>(text.size()))] = AnyByte();
    if (Below(8) == 0)
      text.resize(static_cast<std::size_t>(Below(static_cast<int>(text.size()) + 1)));
    return text;
  }
  int Below(int bound) { return static_cast<int>(random_() % static_cast<std::uint64_t>(bound)); }

 private:
  char AnyByte() { return static_cast<char>(Below(256)); }
  json Anything() {
    switch (Below(22)) {
      case 0:
        return nullptr;
      case 1:
        return true;
      case 2:
        return 0;
      case 3:
        return -1;
      case 4:
        return 5;
      case 5:
        return INT64_MAX;
      case 6:
        return UINT64_MAX;
      case 7:
        return 1e300;
      case 8:
        return -5e-324;
      case 9:
        return "";
      case 10:
        return "yes";
      case 11:
        return "True";
      case 12:
        return Times("象", 12'000);
      case 13:
        return std::string("x\x01\n\t\"\\", 6);
      case 14:
        return json::array();
      case 15:
        return json::object();
      case 16:
        return json::array({"x"});
      case 17:
        return json::parse(R"([{"name": 5}])");
      case 18:
        return json::parse(R"({"name": null, "a/b~": [[[]]]})");
      case 19:
        return std::string(2'000, '1');
      case 20:
        return "2026-03-01T12:00:00Z";
      default: {
        json deep = 1;
        for (int i = Below(60); i > 0; --i) deep = json::array({deep});
        return deep;
      }
    }
  }
  json& AnyPlace(json& root) {
    json* place = &root;
    while (place->is_structured() && !place->empty() && Below(6) != 0) {
      auto child = place->begin();
      std::advance(child, Below(static_cast<int>(place->size())));
      place = &*child;
    }
    return *place;
  }
  void Damage(json& place) {
    const int how = Below(6);
    if (how == 0 && place.is_object()) {
      place["name"] = Anything();
    } else if (how == 1 && place.is_array()) {
      place.push_back(Anything());
    } else if (how == 2 && place.is_array() && !place.empty()) {
      place.push_back(place.front());
    } else if (how == 3 && place.is_structured()) {
      place.clear();
    } else {
      place = Anything();
    }
  }

  std::mt19937_64 random_;
};

json RichJob() {
  json job = MakeJob("bad").Servers(2).Object();
  job["spec"].update(json::parse(R"({
    "task": "train", "mode": "synchronous", "frequency": "batch", "transport": "auto",
    "model": {"inline": {"class_name": "Sequential", "config": {"layers": [{"a": 1}]}}},
    "fit": {"epochs": 2, "batchSize": 8, "classWeight": {"0": 1, "1": 2.5}},
    "checkpoint": {"uri": "ckpt", "every": {"epochs": 1}, "keep": 2},
    "runPolicy": {"backoffLimit": 1, "activeDeadlineSeconds": 3600,
                  "ttlSecondsAfterFinished": 5, "cleanPodPolicy": "All"}})"));
  job["spec"]["workers"] = json::parse(R"({"replicas": 2, "device": "cuda", "threads": 2,
    "template": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {
      "hostNetwork": true, "nodeSelector": {"x": "y"}, "tolerations": [{"key": "gpu"}],
      "securityContext": {"sysctls": [{"name": "s", "value": "1"}], "supplementalGroups": [5]},
      "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}],
      "initContainers": [{"name": "init", "image": "i"}],
      "containers": [{"name": "worker", "image": "w", "env": [{"name": "A", "value": "b"}],
        "resources": {"limits": {"nvidia.com/gpu": 1}, "requests": {"cpu": "1"}},
        "ports": [{"containerPort": 5}], "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "livenessProbe": {"exec": {"command": ["true"]}}}, {"name": "sidecar"}]}}})");
  job["spec"]["parameterServers"]["template"] = job["spec"]["workers"]["template"];
  job["spec"]["parameterServers"]["template"]["spec"]["containers"][0]["name"] = "paramserver";
  job["metadata"]["labels"] = {{"l", "m"}};
  job["status"] = json::parse(R"({"state": "Running", "startTime": "2026-03-01T12:00:00Z",
    "epoch": 1, "metrics": {"loss": 1}, "conditions": [
      {"type": "Running", "status": "True", "reason": "Training", "message": "m",
       "lastTransitionTime": "2026-03-01T12:00:00Z"},
      {"type": "Suspended", "status": "False", "reason": "JobResumed", "message": "m",
       "lastTransitionTime": "2026-03-01T12:00:00Z"}]})");
  return job;
}

json RichAnswer() {
  return json::parse(R"({"state": "Running", "reason": "Because", "message": "m", "epoch": 1,
    "epochs": 2, "progress": 0.5, "examplesPerSecond": 12.5, "secondsRemaining": 100.5,
    "metrics": {"loss": 0.5}, "history": {"loss": [1, 0.5], "seconds": [1]},
    "outputs": ["/data/out/model.keras"], "transport": {"now": "rest", "reason": "no GPU"}})");
}

json RichPodStatus(Chaos& chaos) {
  json answer = RichAnswer();
  answer["state"] = chaos.Below(2) == 0 ? "Failed" : "Succeeded";
  json status = json::parse(R"({"phase": "Running", "podIP": "10.0.0.9", "reason": "Evicted",
    "message": "m", "conditions": [
      {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no"},
      {"type": "Ready", "status": "True"},
      {"type": "DisruptionTarget", "status": "True", "message": "taken"}],
    "initContainerStatuses": [{"name": "init", "state": {"waiting": {"reason": "ErrImagePull",
      "message": "none"}}}]})");
  for (const char* name : {"paramserver", "worker"}) {
    status["containerStatuses"].push_back(
        {{"name", name},
         {"restartCount", chaos.Below(3)},
         {"state",
          {{"terminated",
            {{"exitCode", chaos.Below(4)},
             {"reason", "Error"},
             {"message", chaos.Below(2) == 0 ? chaos.DamagedText(answer) : Times("é", 300)},
             {"finishedAt", "2026-03-01T12:00:01Z"}}}}},
         {"lastState", {{"terminated", {{"exitCode", 137}, {"reason", "OOMKilled"}}}}}});
  }
  return status;
}

class AnyNeighbour : public testing::TestWithParam<std::uint64_t> {};

// A seed that fails is named by the test; it alone makes it fail again.
TEST_P(AnyNeighbour, LeavesTheGoodJobServed) {
  for (std::uint64_t seed = GetParam(); seed < GetParam() + 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos chaos(seed);
    Neighbours cluster;
    // Often a good job with bad pods, so that more than its manifest is looked at.
    cluster.PutBad(chaos.Below(3) == 0 ? RichJob() : chaos.Damaged(RichJob()));
    ASSERT_EQ(cluster.Drain(), "");
    const auto pods = cluster.PodsOf(Neighbours::kGood);
    ASSERT_FALSE(pods.empty());
    cluster.PutPod(chaos.Damaged(pods.front()), "stranger");
    // Which takes the name of one of the bad job's, and ends that job.
    if (chaos.Below(3) == 0) cluster.PutPod(chaos.Damaged(pods.front()), "bad-worker-0");
    ASSERT_EQ(cluster.Live(chaos.Damaged(RichPodStatus(chaos)), chaos.DamagedText(RichAnswer())),
              "");
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, AnyNeighbour,
                         testing::Values(1, 101, 201, 301, 401, 501, 607, 701));

}  // namespace
}  // namespace elephas
