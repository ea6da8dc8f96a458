#include "operator/pod.h"

#include <gtest/gtest.h>

#include "operator/blocker.h"
#include "operator/progress.h"
#include "operator/test_support.h"

namespace elephas {
namespace {

using nlohmann::json;

json PodObject(const char* role, json status) {
  return {{"metadata",
           {{"name", "p"},
            {"labels",
             {{"app.kubernetes.io/component", role},
              {"app.kubernetes.io/instance", "digits"},
              {"elephas.dev/job-uid", "u"},
              {"elephas.dev/index", "0"},
              {"elephas.dev/attempt", "0"}}}}},
          {"status", std::move(status)}};
}

TEST(DecodePod, AWorkerHasEndedWhenItsContainerHasWhateverSidecarsDo) {
  const auto pod = DecodePod(PodObject("worker", json::parse(R"({"phase": "Running",
    "containerStatuses": [
      {"name": "sidecar", "state": {"running": {}}},
      {"name": "worker", "restartCount": 0, "state": {"terminated": {"exitCode": 137,
        "reason": "OOMKilled", "finishedAt": "2026-03-01T12:00:01Z"}}}]})")));
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->phase, PodPhase::kFailed);
  EXPECT_EQ(pod->end->reason, "OOMKilled");
  EXPECT_EQ(pod->end->finished_ms, kStart + 1000);
}

TEST(DecodePod, AServerIsStartedAgainInPlace) {
  const auto pod = DecodePod(PodObject("paramserver", json::parse(R"({"phase": "Running",
    "containerStatuses": [{"name": "paramserver", "restartCount": 2,
      "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}},
      "lastState": {"terminated": {"exitCode": 139, "reason": "Error"}}}]})")));
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->phase, PodPhase::kRunning);
  EXPECT_EQ(pod->restarts, 2);
  EXPECT_EQ(pod->running_ms, 0);
  EXPECT_EQ(pod->previous_end->exit_code, 139);
}

TEST(DecodePod, WhatIsNotOursIsNoPod) {
  EXPECT_FALSE(DecodePod(json::object()));
  json other = PodObject("worker", {});
  other["metadata"]["labels"]["elephas.dev/index"] = "-1";
  EXPECT_FALSE(DecodePod(other));
  EXPECT_FALSE(DecodePod(PodObject("somebody", {})));
}

TEST(Blocker, SaysWhatToDo) {
  struct Case {
    const char* what = "";
    Pod pod;
    const char* reason = "";
    const char* part = "";  // of the message
  };
  const Case cases[] = {
      {"an image that cannot be pulled", Worker(0).Waiting("ErrImagePull", "not found"),
       "ImagePullFailed", "digits-worker-0 waits for its image (ErrImagePull): not found; check"},
      {"a claim that does not exist",
       Worker(0).Unschedulable(R"(persistentvolumeclaim "digits" not found)"), "VolumeNotBound",
       "create the claim"},
      {"a claim that never binds",
       Worker(0).Unschedulable("0/1 nodes are available: pod has unbound immediate "
                               "PersistentVolumeClaims."),
       "VolumeNotBound", "look at its storage class"},
      {"no room on any node",
       Worker(0).Unschedulable("0/1 nodes are available: 1 Insufficient cpu."), "Unschedulable",
       "Insufficient cpu.; lower its requests"},
      {"a configuration that the kubelet refuses",
       Worker(0).Waiting("CreateContainerConfigError", "secret \"x\" not found"),
       "ContainerConfigError", "secret \"x\" not found; correct the template"},
      {"silence", Worker(0).Pending().CreatedAt(kStart - 30'000), "PodNotStarting",
       "kubectl describe pod -n default digits-worker-0"},
      {"a server that restarts", Server().Restarted(2, 137, "OOMKilled").NotReady(),
       "ServerRestarting", "(2 of 6 restarts); raise resources.limits.memory"},
  };
  for (const Case& test : cases) {
    const auto blocker = FindBlocker(MakeJob("digits"), Seen({test.pod}), kStart);
    ASSERT_TRUE(blocker) << test.what;
    EXPECT_EQ(blocker->reason, test.reason) << test.what;
    EXPECT_NE(blocker->message.find(test.part), std::string::npos) << blocker->message;
  }
  EXPECT_FALSE(FindBlocker(MakeJob("digits"), Seen({Worker(0).Pending()}), kStart));
}

TEST(Progress, AnythingElseThanAStatusIsNone) {
  EXPECT_FALSE(ProgressFromMessage(""));
  EXPECT_FALSE(ProgressFromMessage("terminate called after throwing"));
  EXPECT_FALSE(ProgressFromMessage("[1]"));
  EXPECT_FALSE(ProgressFromMessage(R"({"state": 3})"));
  const auto odd = ProgressFromMessage(
      R"({"state": "Running", "epoch": "two", "metrics": {"loss": null}, "outputs": [1]})");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->epoch, 0);
  EXPECT_TRUE(odd->metrics.empty());
  EXPECT_TRUE(odd->outputs.empty());
}

TEST(Progress, WholeEpochsCountMoreThanTheOneThatRuns) {
  const auto progress = ProgressFromStatus(json::parse(
      R"({"state": "Running", "metrics": {"loss": 9},
          "history": {"loss": [3, 2], "val_loss": [4, 3], "examples": [10, 10]}})"));
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->metrics, json::parse(R"({"loss": 2, "val_loss": 3})"));
  EXPECT_EQ(progress->transport, "");
}

TEST(Progress, HasAFewShortWarnings) {
  json status{{"state", "Running"}, {"warnings", json::array()}};
  const std::string elephant = "\xE8\xB1\xA1";
  std::string message;
  for (int i = 0; i < 1000; ++i) message += elephant;
  status["warnings"] = {{{"reason", "ForeignCheckpoints"}, {"message", message}},
                        {{"message", "no reason"}},
                        {{"reason", 5}}};
  for (int i = 0; i < 100; ++i) status["warnings"].push_back({{"reason", "R"}});
  const auto progress = ProgressFromStatus(status);
  ASSERT_TRUE(progress);
  ASSERT_EQ(progress->warnings.size(), 10U);
  EXPECT_EQ(progress->warnings[0].reason, "ForeignCheckpoints");
  EXPECT_EQ(progress->warnings[0].message, message.substr(0, 1023)) << "whole characters";
  EXPECT_TRUE(ProgressFromStatus(json::parse(R"({"state": "Running", "warnings": 5})")));
}

TEST(Progress, SaysHowTrainingIsExchanged) {
  const auto progress = ProgressFromStatus(json::parse(
      R"({"state": "Running", "transport": {"now": "rest", "reason": "worker-1 has no GPU"}})"));
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->transport, "rest");
  EXPECT_EQ(progress->transport_reason, "worker-1 has no GPU");
}

}  // namespace
}  // namespace elephas
