#include "operator/state/pod.h"

#include <gtest/gtest.h>

#include "operator/rules/blocker.h"
#include "operator/rules/failure_policy.h"
#include "operator/state/progress.h"
#include "operator/testing/builders.h"

namespace elephas {
namespace {

using nlohmann::json;

json PodObject(const char* role, json status) {
  return {{"metadata",
           {{"name", std::string("digits-") + role + "-0"},
            {"ownerReferences",
             {{{"apiVersion", "elephas.dev/v1alpha1"},
               {"kind", "ElephasJob"},
               {"name", "digits"},
               {"uid", "u"},
               {"controller", true}}}},
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

TEST(DecodePod, LingersWhileASidecarRunsOrWaitsToRunAgain) {
  const auto pod_with = [](const char* role, const char* phase, const char* ours,
                           const char* sidecar) {
    json status = json::parse(R"({"containerStatuses": [{"name": "sidecar"}, {}]})");
    status["phase"] = phase;
    status["containerStatuses"][0]["state"] = json::parse(sidecar);
    status["containerStatuses"][1] = {{"name", role}, {"state", json::parse(ours)}};
    return *DecodePod(PodObject(role, status));
  };
  const char* const failed = R"({"terminated": {"exitCode": 1}})";
  const char* const done = R"({"terminated": {"exitCode": 0}})";
  const char* const runs = R"({"running": {}})";
  const char* const waits = R"({"waiting": {"reason": "CrashLoopBackOff"}})";
  EXPECT_TRUE(pod_with("worker", "Running", failed, runs).lingers);
  EXPECT_TRUE(pod_with("worker", "Running", done, waits).lingers);
  EXPECT_TRUE(pod_with("paramserver", "Running", done, runs).lingers);
  // The kubelet tells a pod's own end a little later than its containers'.
  EXPECT_FALSE(pod_with("worker", "Running", failed, done).lingers);
  EXPECT_FALSE(pod_with("worker", "Failed", failed, runs).lingers);
  EXPECT_FALSE(pod_with("worker", "Running", runs, runs).lingers);
  // A server's container is started again in the same pod.
  EXPECT_FALSE(pod_with("paramserver", "Running", failed, runs).lingers);
}

TEST(DecodePod, PreemptionIsNoFaultOfTheJobs) {
  const auto pod = DecodePod(PodObject("worker", json::parse(R"({"phase": "Failed",
    "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                    "message": "preempted by a pod of higher priority"}],
    "containerStatuses": [{"name": "worker", "state": {"terminated": {"exitCode": 137}}}]})")));
  ASSERT_TRUE(pod);
  EXPECT_TRUE(pod->disrupted);
  EXPECT_FALSE(CountsAsFailure(*pod));
  EXPECT_EQ(CountFailures(Seen({*pod})), 0);
}

TEST(DecodePod, SchedulingGatesAreNamed) {
  json object = PodObject("worker", json::parse(R"({"phase": "Pending", "conditions": [
    {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]})"));
  object["spec"]["schedulingGates"] =
      json::parse(R"([{"name": "a.example/one"}, {"name": "two"}])");
  EXPECT_EQ(DecodePod(object)->gates, (std::vector<std::string>{"a.example/one", "two"}));
}

TEST(DecodePod, AnInitContainerThatFailedIsKept) {
  const auto failure_of = [](const char* role, const char* status) {
    return DecodePod(PodObject(role, json::parse(status)))->init_failure;
  };
  const auto worker = failure_of("worker", R"({"phase": "Failed", "initContainerStatuses": [
    {"name": "first", "state": {"terminated": {"exitCode": 0}}},
    {"name": "fetch", "state": {"terminated": {"exitCode": 7, "message": "no such host"}}}],
    "containerStatuses": [{"name": "worker", "state": {"waiting": {"reason": "PodInitializing"}}}]})");
  ASSERT_TRUE(worker);
  EXPECT_EQ(worker->container, "fetch");
  EXPECT_EQ(worker->end.exit_code, 7);
  const auto server = failure_of("paramserver", R"({"phase": "Pending", "initContainerStatuses": [
    {"name": "fetch", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
     "lastState": {"terminated": {"exitCode": 1}}}]})");
  ASSERT_TRUE(server);
  EXPECT_EQ(server->container, "fetch");
  // Also while its next try runs, but not when it has done its work.
  const char* const again = R"({"phase": "Pending", "initContainerStatuses": [
    {"name": "fetch", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}]})";
  EXPECT_TRUE(failure_of("paramserver", again));
  json sidecar = PodObject("paramserver", json::parse(again));
  sidecar["spec"]["initContainers"] =
      json::parse(R"([{"name": "fetch", "restartPolicy": "Always"}])");
  EXPECT_FALSE(DecodePod(sidecar)->init_failure);
  EXPECT_FALSE(failure_of("paramserver", R"({"phase": "Running", "initContainerStatuses": [
    {"name": "fetch", "state": {"terminated": {"exitCode": 0}},
     "lastState": {"terminated": {"exitCode": 1}}}]})"));
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
      {"a gate", Worker(0).Gated({"kueue.x-k8s.io/admission"}), "SchedulingGated",
       "digits-worker-0 waits for its scheduling gate kueue.x-k8s.io/admission;"},
      {"two gates", Worker(0).Gated({"a", "b"}).CreatedAt(kStart - 60'000), "SchedulingGated",
       "its scheduling gates a, b;"},
      {"a server's init container", Server().InitFailed("fetch", 7, "no such host"),
       "InitContainerFailed",
       "digits-paramserver-0 failed in its init container fetch, which exited with 7: no such "
       "host; see kubectl logs -n default digits-paramserver-0 -c fetch"},
      {"a worker's init container, again and again",
       Worker(0, 3).InitFailed("fetch", 7, "no such host").Failures(3).InARow(3),
       "InitContainerFailed",
       "digits-worker-0-3 failed in its init container fetch, which exited with 7: no such host; "
       "see kubectl logs -n default digits-worker-0-3 -c fetch (4 failures in a row, the next try "
       "after 40 s; 4 of 6 restarts)"},
      {"a worker that crashes again and again", Worker(0, 1).Ended(1, "Error", "x").InARow(1),
       "WorkerFailing", "digits-worker-0-1 exited with 1: x; see kubectl logs"},
      {"a worker that is killed for memory again and again",
       Worker(0, 1).Ended(137, "OOMKilled").InARow(1), "WorkerOutOfMemory",
       "raise resources.limits.memory"},
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

TEST(Blocker, AWorkerThatFailsInARowIsToldUntilOneDoesSomething) {
  const std::vector<Pod> pods{Server(), Worker(0),
                              Worker(1, 1).Ended(1, "Error", "no disk").InARow(1),
                              Worker(1, 2).InARow(2).Failures(2)};
  const auto blocker = FindBlocker(MakeJob("digits"), Seen(pods), kStart);
  ASSERT_TRUE(blocker);
  EXPECT_EQ(blocker->reason, "WorkerFailing");
  EXPECT_TRUE(blocker->needs_a_person);
  EXPECT_NE(blocker->message.find("digits-worker-1-1 exited with 1: no disk"), std::string::npos)
      << blocker->message;
  Observed observed = Seen(pods);
  observed.progress.emplace();
  observed.progress->contributors = {"digits-worker-1-2"};
  EXPECT_FALSE(FindBlocker(MakeJob("digits"), observed, kStart));
  // Where there is nothing to do for it, it counts as recovered after a while.
  ASSERT_EQ(NextPatienceEndMs(Seen(pods), kStart), kStart + 60'000);
  EXPECT_FALSE(FindBlocker(MakeJob("digits"), Seen(pods), kStart + 60'000));
}

TEST(Blocker, WhatGoesAwayNeedsNobodyUnlessItStays) {
  Observed observed;
  observed.refusal =
      Refusal{Gone("Pod digits-worker-0 is still being deleted"), "Pod x", kStart + 5, kStart};
  const auto soon = FindBlocker(MakeJob("digits"), observed, kStart + 1'000);
  ASSERT_TRUE(soon);
  EXPECT_EQ(soon->reason, "WaitingForOldObjects");
  EXPECT_FALSE(soon->needs_a_person);
  EXPECT_NE(soon->message.find("Pod digits-worker-0 is still being deleted"), std::string::npos);
  EXPECT_TRUE(FindBlocker(MakeJob("digits"), observed, kStart + 300'000)->needs_a_person);
}

TEST(Progress, WorkersThatDidSomethingAreKnown) {
  const auto progress = ProgressFromStatus(json::parse(
      R"({"state": "Running", "workers": [{"name": "a", "examples": 3}, {"name": "b", "examples": 0},
          {"name": "c"}, 4, {"name": 5, "examples": "x"}]})"));
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->contributors, (std::set<std::string>{"a"}));
}

TEST(Progress, AnythingElseThanAStatusIsNone) {
  EXPECT_FALSE(ProgressFromMessage(""));
  EXPECT_FALSE(ProgressFromMessage("terminate called after throwing"));
  EXPECT_FALSE(ProgressFromMessage("[1]"));
  EXPECT_FALSE(ProgressFromMessage(R"({"state": 3})"));
  EXPECT_FALSE(ProgressFromMessage(R"({"state": "Dreaming"})"));
  EXPECT_FALSE(ProgressFromMessage(std::string(1'000'000, '{')));
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
  EXPECT_EQ(progress->warnings[0].message, message.substr(0, 1020) + "...") << "whole characters";
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
