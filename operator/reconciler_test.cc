// The life of a job, with a cluster in memory.
#include "operator/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/testing/world.h"

namespace elephas {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class JobLife : public testing::Test {
 public:
  // A job whose pods all run.
  void Start(const MakeJob& job = MakeJob("digits")) {
    world.Apply(job);
    world.DrainQueue();
    world.KubeletsStartPods();
    world.DrainQueue();
    world.KubeletsStartPods();
    world.DrainQueue();
  }
  static Progress Epoch(std::int64_t epoch, double loss) {
    Progress progress;
    progress.state = "Running";
    progress.epoch = epoch;
    progress.done = static_cast<double>(epoch) / 2;
    progress.metrics = {{"loss", loss}};
    progress.examples_per_second = 1234.5678;
    progress.seconds_remaining = 100;
    return progress;
  }
  World world;
};

const char* const kAllRun =
    "Running 2/2 Training\n"
    "digits-paramserver-0 Running\n"
    "digits-worker-0 Running\n"
    "digits-worker-1 Running\n";

TEST_F(JobLife, ObjectsThenServersThenWorkers) {
  world.Apply(MakeJob("digits"));
  world.DrainQueue();
  EXPECT_THAT(
      world.calls,
      ElementsAre("create Secret default/digits-job", "apply Service default/digits-paramserver",
                  "apply NetworkPolicy default/digits", "create Pod default/digits-paramserver-0",
                  "apply-status ElephasJob default/digits",
                  "apply-status ElephasJob default/digits"));
  EXPECT_EQ(world.State(), "Starting 0/2 ServersStarting\ndigits-paramserver-0 Pending\n");
  world.calls.clear();
  world.KubeletsStartPods();
  world.DrainQueue();
  EXPECT_THAT(world.calls, Contains("create Pod default/digits-worker-1"));
  EXPECT_EQ(world.State(),
            "Starting 0/2 WorkersStarting\n"
            "digits-paramserver-0 Running\ndigits-worker-0 Pending\ndigits-worker-1 Pending\n");
  world.KubeletsStartPods();
  world.DrainQueue();
  EXPECT_EQ(world.State(), kAllRun);
  EXPECT_EQ(world.poller.followed[world.Uid()], "http://10.0.0.7:4000");
}

TEST_F(JobLife, NothingChangesNothingIsWritten) {
  Start();
  world.calls.clear();
  world.events.clear();
  for (int i = 0; i < 3; ++i) {
    world.Advance(seconds(60));
    world.DrainQueue();
  }
  EXPECT_THAT(world.calls, IsEmpty());
  EXPECT_THAT(world.events, IsEmpty());
}

TEST_F(JobLife, ProgressReachesTheStatus) {
  Start();
  world.ServerSays(Epoch(1, 0.5));
  world.DrainQueue();
  const json status = world.JobStatus();
  EXPECT_EQ(status["epoch"], 1);
  EXPECT_EQ(status["epochs"], 2);
  EXPECT_EQ(status["progress"], 50);
  EXPECT_EQ(status["loss"], 0.5);
  EXPECT_EQ(status["examplesPerSecond"], 1230);
  EXPECT_EQ(status["estimatedCompletionTime"], "2026-03-01T12:01:40Z");
  EXPECT_FALSE(status.contains("transport"));
  const auto says = [&](const char* transport) {
    Progress progress = Epoch(1, 0.5);
    progress.transport = transport;
    progress.transport_reason = "worker-1 has no GPU";
    world.ServerSays(progress);
    world.DrainQueue();
    return world.JobStatus()["transport"];
  };
  EXPECT_EQ(says("rest"), (json{{"now", "rest"}, {"reason", "worker-1 has no GPU"}}));
  EXPECT_EQ(says("nccl"), (json{{"now", "nccl"}}));
}

TEST_F(JobLife, AWarningOfTheServerIsInTheStatusAndToldOnce) {
  Start();
  world.events.clear();
  Progress progress = Epoch(1, 0.5);
  progress.warnings = {{"ForeignCheckpoints", "/data/ckpt holds checkpoints of other runs"}};
  const auto warnings = [&] {
    world.ServerSays(progress);
    world.DrainQueue();
    return world.JobStatus().value("warnings", json());
  };
  const json told{{{"reason", "ForeignCheckpoints"},
                   {"message", "/data/ckpt holds checkpoints of other runs"}}};
  EXPECT_EQ(warnings(), told);
  EXPECT_EQ(warnings(), told);
  progress.warnings.clear();
  EXPECT_EQ(warnings(), told) << "a server that started again knows its own checkpoints only";
  EXPECT_THAT(world.events, ElementsAre("Warning ForeignCheckpoints"));
}

TEST_F(JobLife, TheEndIsTheServersLastWord) {
  Start();
  world.events.clear();
  world.JobEnds("Succeeded");
  world.PodEnds("digits-worker-0", 0, "Completed");
  world.PodEnds("digits-worker-1", 0, "Completed");
  world.DrainQueue();
  EXPECT_EQ(world.State(),
            "Succeeded 0/2 Finished JobSucceeded\n"
            "digits-paramserver-0 Succeeded\n"
            "digits-worker-0 Succeeded\ndigits-worker-1 Succeeded\n");
  const json status = world.JobStatus();
  EXPECT_EQ(status["progress"], 100);
  EXPECT_EQ(status["loss"], 0.25);
  EXPECT_EQ(status["model"], "out");
  EXPECT_EQ(status["outputs"], json::array({"/data/out/model.keras"}));
  EXPECT_EQ(status["completionTime"], world.Now());
  EXPECT_THAT(world.events, ElementsAre("Normal JobSucceeded"));
}

TEST_F(JobLife, ADeadWorkerIsReplacedInOneReconcile) {
  Start();
  world.events.clear();
  world.PodFails("digits-worker-1");
  ASSERT_TRUE(world.ReconcileOnce().ok());
  EXPECT_TRUE(world.client.Find(kube::kPod, {"default", "digits-worker-1-1"}));
  EXPECT_THAT(world.poller.given_back, ElementsAre("digits-worker-1"));
  world.DrainQueue();
  world.KubeletsStartPods();
  world.DrainQueue();
  EXPECT_EQ(world.State(),
            "Running 2/2 WorkerFailing\n"
            "digits-paramserver-0 Running\ndigits-worker-0 Running\n"
            "digits-worker-1 Failed\ndigits-worker-1-1 Running\n");
  EXPECT_EQ(world.JobStatus()["restarts"], 1);
  EXPECT_EQ(world.JobStatus()["workers"]["failed"], 1);
  EXPECT_THAT(world.events, Contains("Warning WorkerReplaced").Times(1));
  world.Advance(seconds(700));
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Running 2/2 Training\n"));
}

TEST_F(JobLife, AWatchThatIsBehindMakesNoPodTwice) {
  Start();
  world.PodFails("digits-worker-1");
  world.view.Freeze();
  world.calls.clear();
  world.events.clear();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(world.ReconcileOnce().ok());
  const auto calls = world.client.TakeCalls();
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "create Pod default/digits-worker-1-1"), 1);
  // Once with the pod that died, once with the one that was asked for.
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "apply-status ElephasJob default/digits"), 2);
  EXPECT_THAT(world.events, Contains("Warning WorkerReplaced").Times(1));
}

TEST_F(JobLife, TooManyDeathsFailTheJob) {
  Start(MakeJob("digits").BackoffLimit(1));
  world.PodEnds("digits-worker-1", 137, "OOMKilled");
  world.DrainQueue();
  world.KubeletsStartPods();
  world.PodEnds("digits-worker-1-1", 137, "OOMKilled");
  testing::internal::CaptureStderr();
  world.DrainQueue();
  // The operator's log alone tells why.
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("namespace=default job=digits reason=BackoffLimitExceeded"),
                    HasSubstr("raise resources.limits.memory")));
  EXPECT_EQ(world.State(),
            "Failed 0/2 Finished BackoffLimitExceeded\n"
            "digits-worker-1 Failed\ndigits-worker-1-1 Failed\n");
  EXPECT_THAT(world.MessageOf("Failed"), HasSubstr("raise resources.limits.memory"));
  EXPECT_EQ(world.MessageOf("Stalled"), world.MessageOf("Failed"));
}

TEST_F(JobLife, TheOperatorMayDieAtAnyMoment) {
  // After each write of the whole story the operator is replaced by one that remembers nothing.
  for (int step = 1; step < 40; ++step) {
    World replay;
    replay.Apply(MakeJob("digits"));
    int writes = 0;
    const auto work = [&] {
      for (int i = 0; i < 50; ++i) {
        if (++writes % step == 0) replay.RestartOperator();
        const Status status = replay.ReconcileOnce();
        auto calls = replay.client.TakeCalls();
        // A new operator applies these once; that changes nothing.
        std::erase_if(calls, [](const std::string& call) {
          return call.starts_with("apply Service") || call.starts_with("apply NetworkPolicy");
        });
        if (status.ok() && calls.empty()) return;
      }
      FAIL() << "it never ends";
    };
    work();
    replay.KubeletsStartPods();
    work();
    replay.KubeletsStartPods();
    work();
    replay.PodFails("digits-worker-0");
    work();
    replay.KubeletsStartPods();
    work();
    replay.JobEnds("Succeeded");
    work();
    EXPECT_THAT(replay.State(), StartsWith("Succeeded")) << step;
    EXPECT_EQ(replay.client.All(kube::kPod).size(), 4U - 2 + 2) << step;
    EXPECT_EQ(std::count(replay.events.begin(), replay.events.end(), "Warning WorkerReplaced"), 1)
        << step;
  }
}

TEST_F(JobLife, AnAnswerThatWasLostIsNotAskedForTwice) {
  Start();
  world.PodFails("digits-worker-1");
  world.client.LoseAnswer({.verb = "create", .kind = "Pod"});
  EXPECT_FALSE(world.ReconcileOnce().ok());
  world.DrainQueue();
  EXPECT_EQ(world.client.All(kube::kPod).size(), 5U - 1);
}

TEST_F(JobLife, SuspendedAndResumed) {
  Start();
  world.Advance(seconds(10));
  world.Change("/spec/runPolicy/suspend", true);
  world.DrainQueue();
  EXPECT_EQ(world.State(), "Suspended 0/2 Suspended\n");
  EXPECT_FALSE(world.JobStatus().contains("startTime"));
  EXPECT_TRUE(world.client.Find(kube::kSecret, {"default", "digits-job"}));
  EXPECT_THAT(world.poller.followed, IsEmpty());
  world.Advance(seconds(100));
  world.Change("/spec/runPolicy/suspend", false);
  world.DrainQueue();
  world.KubeletsStartPods();
  world.DrainQueue();
  world.KubeletsStartPods();
  world.DrainQueue();
  EXPECT_EQ(world.State(), kAllRun);
  EXPECT_EQ(world.JobStatus()["startTime"], world.Now());
  EXPECT_THAT(world.events, Contains("Normal JobSuspended").Times(1));
  EXPECT_THAT(world.events, Contains("Normal JobResumed").Times(1));
}

TEST_F(JobLife, ScaledWhileItTrains) {
  Start();
  world.Change("/spec/workers/replicas", 3);
  world.DrainQueue();
  world.KubeletsStartPods();
  world.DrainQueue();
  EXPECT_EQ(world.State(), std::string(kAllRun).replace(8, 3, "3/3") + "digits-worker-2 Running\n");
  world.Change("/spec/workers/replicas", 1);
  world.DrainQueue();
  EXPECT_EQ(world.State(),
            "Running 1/1 Training\ndigits-paramserver-0 Running\ndigits-worker-0 Running\n");
  // The programs' manifest stays what it was: partitions must not move.
  const auto secret = *world.client.Find(kube::kSecret, {"default", "digits-job"});
  EXPECT_THAT(secret.dump(), HasSubstr(R"(\"replicas\":2)"));
}

TEST_F(JobLife, AnImageThatCannotBePulledIsTold) {
  world.Apply(MakeJob("digits"));
  world.DrainQueue();
  world.PodWaits("digits-paramserver-0", "ImagePullBackOff", "no such image");
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Pending 0/2 ImagePullFailed\n"));
  EXPECT_THAT(world.MessageOf("Stalled"), HasSubstr("no such image"));
  EXPECT_THAT(world.events, Contains("Warning ImagePullFailed").Times(1));
  world.PodRuns("digits-paramserver-0");
  world.DrainQueue();
  EXPECT_EQ(FindCondition(world.JobStatus(), "Stalled")->value("status", ""), "False");
}

TEST_F(JobLife, AQuotaInTheWayIsToldAndTriedAgain) {
  world.Apply(MakeJob("digits"));
  world.client.FailNext({.verb = "create", .kind = "Pod"}, Forbidden("exceeded quota: compute"));
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Pending 0/2 QuotaExceeded\n"));
  EXPECT_THAT(world.MessageOf("Running"), HasSubstr("raise the ResourceQuota"));
  ASSERT_TRUE(world.next_wake);
  EXPECT_LE(*world.next_wake, seconds(10));
  world.Advance(seconds(10));
  world.DrainQueue();
  EXPECT_EQ(world.State(), "Starting 0/2 ServersStarting\ndigits-paramserver-0 Pending\n");
}

TEST_F(JobLife, APodThatStaysSilentIsToldAfterHalfAMinute) {
  world.Apply(
      MakeJob("digits").Set("/spec/model", {{"configMapRef", {{"name", "m"}, {"key", "k"}}}}));
  world.DrainQueue();
  ASSERT_TRUE(world.next_wake);
  world.Advance(*world.next_wake);
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Pending 0/2 PodNotStarting\n"));
  EXPECT_THAT(world.MessageOf("Running"), HasSubstr("kubectl describe pod -n default"));
}

TEST_F(JobLife, AWrongTemplateFailsTheJob) {
  world.Apply(MakeJob("digits"));
  world.client.FailNext({.verb = "create", .kind = "Pod"},
                        Invalid("Pod in version \"v1\" cannot be handled as a Pod: strict decoding "
                                "error: unknown field \"spec.nodeSelektor\""));
  world.DrainQueue();
  EXPECT_EQ(world.State(), "Failed 0/2 Finished PodInvalid\n");
}

TEST_F(JobLife, SomebodyElsesObjectsAreLeftAlone) {
  world.client.Put(kube::kService,
                   {{"metadata", {{"namespace", "default"}, {"name", "digits-paramserver"}}},
                    {"spec", {{"clusterIP", "1.2.3.4"}}}});
  world.Apply(MakeJob("digits"));
  world.DrainQueue();
  EXPECT_EQ(world.State(), "Failed 0/2 Finished NameTaken\n");
  EXPECT_EQ(world.client.Find(kube::kService, {"default", "digits-paramserver"})
                ->at("/spec/clusterIP"_json_pointer),
            "1.2.3.4");
}

// Ten new jobs met the terminating pods of the one before, and failed for good with NameTaken.
TEST_F(JobLife, TenTimesTheSameNameInARowEndInOneRunningJob) {
  for (int i = 0; i < 10; ++i) {
    Start();
    world.DeleteJobOnly();
    world.DrainQueue();
  }
  world.Apply(MakeJob("digits"));
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Pending 0/2 WaitingForOldObjects\n"));
  EXPECT_THAT(world.MessageOf("Running"),
              StartsWith("Secret digits-job belongs to a job that is gone, and is deleted soon"));
  EXPECT_EQ(FindCondition(world.JobStatus(), "Stalled")->value("status", ""), "False");
  ASSERT_TRUE(world.next_wake);
  EXPECT_LE(*world.next_wake, seconds(1));
  world.WhatHasNoJobGoes();
  world.DrainQueue();
  world.KubeletsStartPods();
  world.DrainQueue();
  world.KubeletsStartPods();
  world.DrainQueue();
  EXPECT_EQ(world.State(), kAllRun);
  EXPECT_THAT(world.events, Not(Contains("Warning NameTaken")));
}

TEST_F(JobLife, EachObjectOfAnEarlierJobIsWaitedForByName) {
  Start();
  world.DeleteJobOnly();
  world.Apply(MakeJob("digits"));
  // The new Secret comes after the old pods have gone: a kubelet that still has one of them would
  // give the old token and manifest to the new pods.
  for (const auto& [kind, name, words] :
       {std::tuple(kube::kSecret, "digits-job", "Secret digits-job"),
        std::tuple(kube::kPod, "digits-paramserver-0",
                   "Pod digits-paramserver-0 is still being deleted"),
        std::tuple(kube::kPod, "digits-worker-0", "Pod digits-worker-0 is still being deleted"),
        std::tuple(kube::kPod, "digits-worker-1", "Pod digits-worker-1 is still being deleted"),
        std::tuple(kube::kService, "digits-paramserver", "Service digits-paramserver"),
        std::tuple(kube::kNetworkPolicy, "digits", "NetworkPolicy digits")}) {
    world.DrainQueue();
    EXPECT_THAT(world.State(), StartsWith("Pending 0/2 WaitingForOldObjects\n"));
    EXPECT_THAT(world.MessageOf("Running"), StartsWith(words));
    EXPECT_EQ(world.client.Find(kube::kSecret, {"default", "digits-job"}).has_value(),
              kind != kube::kPod);
    world.client.Remove(kind, {"default", name});
  }
  // An event wakes the job before its time.
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Starting 0/2 ServersStarting\n"));
  for (int i = 0; i < 2; ++i) {
    world.KubeletsStartPods();
    world.DrainQueue();
  }
  EXPECT_EQ(world.State(), kAllRun);
}

TEST_F(JobLife, OrphansAreLeftAloneAndTheirNamesAreTaken) {
  Start();
  std::vector<json> orphans;
  for (json pod : world.client.All(kube::kPod)) {
    pod["metadata"].erase("ownerReferences");
    orphans.push_back(std::move(pod));
  }
  world.client.Remove(kube::kElephasJob, World::kName);
  for (const json& pod : orphans) world.client.Put(kube::kPod, pod);
  world.calls.clear();
  world.DrainQueue();
  EXPECT_THAT(world.calls, IsEmpty());
  EXPECT_EQ(world.client.All(kube::kPod).size(), 3U);
  world.Apply(MakeJob("digits"));
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Failed 0/2 Finished NameTaken\n"));
  EXPECT_EQ(world.client.All(kube::kPod).size(), 3U);
}

TEST_F(JobLife, ForegroundDeletionIsNotWorkedAgainst) {
  Start();
  json job = *world.client.Find(kube::kElephasJob, World::kName);
  job["metadata"]["finalizers"] = {"foregroundDeletion"};
  job["metadata"]["deletionTimestamp"] = world.Now();
  world.client.Put(kube::kElephasJob, job);
  world.calls.clear();
  for (const json& pod : world.client.All(kube::kPod)) {
    world.client.Remove(kube::kPod, kube::NameOf(pod));
    world.DrainQueue();
  }
  EXPECT_THAT(world.calls, IsEmpty());
  EXPECT_THAT(world.client.All(kube::kPod), IsEmpty());
}

TEST_F(JobLife, DefaultsGiveWayToALimitRange) {
  world.Apply(MakeJob("digits"));
  world.client.FailNext({.verb = "create", .kind = "Pod"},
                        Invalid("Pod \"digits-paramserver-0\" is invalid: "
                                "spec.containers[0].resources.requests: Invalid value: \"100m\": "
                                "must be less than or equal to cpu limit of 50m"));
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Starting 0/2 ServersStarting\n"));
  const json pod = *world.client.Find(kube::kPod, {"default", "digits-paramserver-0"});
  EXPECT_EQ(pod["spec"]["containers"][0]["resources"], json::object());
}

TEST_F(JobLife, WhatALimitRangeRefusesIsTriedAgainUntilItIsGone) {
  world.Apply(MakeJob("digits"));
  world.client.FailNext({.verb = "create", .kind = "Pod"},
                        Invalid("Pod \"a\" is invalid: spec.containers[0].resources.requests: "
                                "must be less than or equal to cpu limit of 50m"),
                        2);
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Pending 0/2 PodInvalid\n"));
  EXPECT_EQ(FindCondition(world.JobStatus(), "Stalled")->value("status", ""), "True");
  EXPECT_THAT(world.MessageOf("Running"), HasSubstr("cpu limit of 50m"));
  ASSERT_TRUE(world.next_wake);
  world.Advance(*world.next_wake);
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Starting 0/2 ServersStarting\n"));
}

TEST_F(JobLife, RefusalsAreAskedForEverMoreRarely) {
  world.Apply(MakeJob("digits"));
  world.client.FailNext({.verb = "create", .kind = "Pod"}, Forbidden("exceeded quota: compute"),
                        -1);
  std::vector<std::int64_t> pauses;
  for (int i = 0; i < 6; ++i) {
    world.DrainQueue();
    ASSERT_TRUE(world.next_wake);
    pauses.push_back(world.next_wake->count() / 1000);
    world.Advance(*world.next_wake);
  }
  EXPECT_THAT(pauses, ElementsAre(10, 10, 20, 40, 60, 60));
}

// It used up a backoffLimit of 6 within ten seconds.
TEST_F(JobLife, AWorkerThatCrashesAtOnceIsGivenTime) {
  Start(MakeJob("digits").Workers(1));
  const std::int64_t began = world.clock.now_ms;
  std::string worker = "digits-worker-0";
  int attempt = 0;
  while (!ConditionIsTrue(world.JobStatus(), "Failed")) {
    ASSERT_LT(attempt, 10);
    world.PodFails(worker);
    world.DrainQueue();
    if (attempt > 0 && !ConditionIsTrue(world.JobStatus(), "Failed")) {
      EXPECT_THAT(world.State(), StartsWith("Pending 0/1 WorkerFailing\n"));
      ASSERT_TRUE(world.next_wake);
      world.Advance(*world.next_wake);
      world.DrainQueue();
    }
    worker = "digits-worker-0-" + std::to_string(++attempt);
    world.KubeletsStartPods();
    world.DrainQueue();
  }
  EXPECT_EQ(attempt, 7);
  EXPECT_EQ(world.clock.now_ms - began, (10 + 20 + 40 + 80 + 160) * 1000);
  EXPECT_THAT(world.State(), StartsWith("Failed 0/1 Finished BackoffLimitExceeded\n"));
  EXPECT_EQ(world.JobStatus()["restarts"], 7);
  // Once each, and at once.
  EXPECT_EQ(world.poller.given_back.size(), 6U);
}

TEST_F(JobLife, AWorkerThatDidSomethingIsReplacedAtOnceEachTime) {
  Start(MakeJob("digits").BackoffLimit(100));
  std::string worker = "digits-worker-1";
  for (int attempt = 1; attempt < 8; ++attempt) {
    Progress progress = Epoch(1, 0.5);
    progress.contributors = {"digits-worker-0", worker};
    world.ServerSays(progress);
    world.DrainQueue();
    world.PodFails(worker);
    world.DrainQueue();
    worker = "digits-worker-1-" + std::to_string(attempt);
    ASSERT_TRUE(world.client.Find(kube::kPod, {"default", worker})) << attempt;
    world.KubeletsStartPods();
    world.DrainQueue();
    EXPECT_EQ(FindCondition(world.JobStatus(), "Stalled")->value("status", ""), "False");
  }
}

TEST_F(JobLife, ADeadWorkersSidecarIsEndedAndItsPodStays) {
  Start();
  world.calls.clear();
  world.PodEndsBesideASidecar("digits-worker-1", 1);
  world.DrainQueue();
  EXPECT_THAT(world.calls, Contains("apply Pod default/digits-worker-1").Times(1));
  const json dead = *world.client.Find(kube::kPod, {"default", "digits-worker-1"});
  EXPECT_EQ(dead["spec"]["activeDeadlineSeconds"], 1);
  EXPECT_TRUE(world.client.Find(kube::kPod, {"default", "digits-worker-1-1"}));
  EXPECT_EQ(world.JobStatus()["workers"]["active"], 2);
  EXPECT_EQ(world.JobStatus()["workers"]["failed"], 1);
  EXPECT_EQ(world.JobStatus()["restarts"], 1);
}

TEST_F(JobLife, WhereAPodMayNotBeStoppedItIsDeleted) {
  Start();
  world.client.FailNext({.verb = "apply", .kind = "Pod"}, Forbidden("pods may not be patched"));
  world.PodEndsBesideASidecar("digits-worker-1", 1);
  world.DrainQueue();
  EXPECT_FALSE(world.client.Find(kube::kPod, {"default", "digits-worker-1"}));
  EXPECT_TRUE(world.client.Find(kube::kPod, {"default", "digits-worker-1-1"}));
  EXPECT_EQ(world.JobStatus()["restarts"], 1);
}

TEST_F(JobLife, AfterSuccessPodsOfSidecarsGo) {
  Start();
  world.JobEnds("Succeeded");
  world.PodEndsBesideASidecar("digits-worker-0", 0);
  world.PodEnds("digits-worker-1", 0, "Completed");
  world.DrainQueue();
  EXPECT_EQ(world.JobStatus()["workers"]["active"], 0);
  ASSERT_TRUE(world.next_wake);
  world.Advance(*world.next_wake);
  world.DrainQueue();
  EXPECT_EQ(world.State(),
            "Succeeded 0/2 Finished JobSucceeded\n"
            "digits-paramserver-0 Succeeded\ndigits-worker-1 Succeeded\n");
}

TEST_F(JobLife, SuspendedAndResumedTwentyTimes) {
  Start();
  for (int i = 0; i < 20; ++i) {
    world.Change("/spec/runPolicy/suspend", true);
    // Not always does the operator see it.
    if (i % 3 != 0) world.DrainQueue();
    world.Change("/spec/runPolicy/suspend", false);
    if (i % 2 != 0) world.DrainQueue();
  }
  for (int i = 0; i < 3; ++i) {
    world.DrainQueue();
    world.KubeletsStartPods();
  }
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Running 2/2 Training\n"));
  EXPECT_EQ(world.client.All(kube::kPod).size(), 3U);
  EXPECT_FALSE(world.JobStatus().contains("restarts"));
}

TEST_F(JobLife, TwelveWorkersDeletedAtOnceComeBackAndDoNotCount) {
  Start(MakeJob("digits").Workers(12).BackoffLimit(0));
  for (const json& pod : world.client.All(kube::kPod)) {
    const kube::ObjectName name = kube::NameOf(pod);
    if (name.name.find("worker") == std::string::npos) continue;
    json going = pod;
    going["metadata"]["deletionTimestamp"] = world.Now();
    world.client.Put(kube::kPod, going);
  }
  ASSERT_TRUE(world.ReconcileOnce().ok());
  EXPECT_EQ(world.client.All(kube::kPod).size(), 1U + 12 + 12);
  for (int i = 0; i < 12; ++i) {
    world.client.Remove(kube::kPod, {"default", "digits-worker-" + std::to_string(i)});
  }
  world.DrainQueue();
  world.KubeletsStartPods();
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Running 12/12 Training\n"));
  EXPECT_EQ(world.client.All(kube::kPod).size(), 1U + 12);
  EXPECT_FALSE(world.JobStatus().contains("restarts"));
}

TEST_F(JobLife, AnAutoscalerReadsWhatItNeeds) {
  Start();
  const json status = world.JobStatus();
  EXPECT_EQ(status["workers"]["replicas"], 2);
  EXPECT_EQ(status["selector"], "app.kubernetes.io/instance=digits,elephas.dev/job-uid=" +
                                    world.Uid() + ",app.kubernetes.io/component=worker");
  world.Change("/spec/workers/replicas", 5);
  world.DrainQueue();
  EXPECT_EQ(world.JobStatus()["workers"]["replicas"], 5);
  world.Change("/spec/workers/replicas", 1);
  world.DrainQueue();
  EXPECT_EQ(world.JobStatus()["workers"]["replicas"], 1);
}

TEST_F(JobLife, AJobThatFailedEarlyGoesWhenItsTimeIsOver) {
  world.Apply(MakeJob("digits")
                  .Set("/spec/fit/epochs", 0)
                  .Set("/spec/runPolicy/ttlSecondsAfterFinished", 60));
  world.DrainQueue();
  EXPECT_EQ(world.State(), "Failed 0/1 Finished InvalidSpec\n");
  ASSERT_TRUE(world.next_wake);
  EXPECT_LE(*world.next_wake, seconds(60));
  world.Advance(seconds(60));
  world.DrainQueue();
  EXPECT_EQ(world.State(), "");
}

TEST_F(JobLife, FinishedJobsStayFinished) {
  for (const char* state : {"Succeeded", "Failed"}) {
    World finished;
    finished.Apply(MakeJob("digits"));
    for (int i = 0; i < 3; ++i) {
      finished.DrainQueue();
      finished.KubeletsStartPods();
    }
    finished.JobEnds(state);
    finished.DrainQueue();
    const std::string done = finished.JobStatus()["completionTime"];
    finished.Advance(seconds(3600));
    finished.RestartOperator();
    for (const json& pod : finished.client.All(kube::kPod)) {
      finished.client.Remove(kube::kPod, kube::NameOf(pod));
    }
    finished.Change("/spec/workers/replicas", 5);
    finished.Change("/spec/runPolicy/suspend", true);
    finished.DrainQueue();
    finished.Change("/spec/runPolicy/suspend", false);
    finished.DrainQueue();
    EXPECT_THAT(finished.State(), StartsWith(state));
    EXPECT_EQ(finished.JobStatus()["completionTime"], done);
    EXPECT_THAT(finished.client.All(kube::kPod), IsEmpty());
  }
}

TEST_F(JobLife, OddNamesRun) {
  for (const std::string& name :
       {std::string("1digits"), std::string("a.b"), std::string(46, 'x')}) {
    World odd;
    Reconciler reconciler({.client = odd.client,
                           .view = odd.view,
                           .progress = odd.poller,
                           .record = [](const Job&, const JobEvent&) {},
                           .clock = odd.clock},
                          Settings{});
    odd.Apply(MakeJob(name));
    for (int i = 0; i < 9; ++i) {
      ASSERT_TRUE(reconciler.Reconcile({"default", name}).ok());
      if (i % 3 == 2) odd.KubeletsStartPods();
    }
    EXPECT_EQ(odd.client.All(kube::kPod).size(), 3U) << name;
    for (const json& service : odd.client.All(kube::kService)) {
      const std::string host = kube::NameOf(service).name;
      EXPECT_THAT(host, testing::MatchesRegex("[a-z]([-a-z0-9]*[a-z0-9])?")) << name;
      EXPECT_LE(host.size(), 63U);
    }
    for (const json& pod : odd.client.All(kube::kPod)) {
      EXPECT_LE(kube::NameOf(pod).name.size(), 63U);
      for (const auto& [label, value] : pod["metadata"]["labels"].items()) {
        EXPECT_LE(value.get<std::string>().size(), 63U) << label;
      }
    }
  }
}

TEST_F(JobLife, AFinishedJobGoesWhenItsTimeIsOver) {
  Start(MakeJob("digits").Set("/spec/runPolicy/ttlSecondsAfterFinished", 60));
  world.JobEnds("Failed");
  world.DrainQueue();
  EXPECT_EQ(world.State(), "Failed 0/2 Finished Failed\ndigits-paramserver-0 Succeeded\n");
  EXPECT_EQ(world.MessageOf("Failed"), "loss is NaN");
  ASSERT_TRUE(world.next_wake);
  world.Advance(*world.next_wake);
  world.DrainQueue();
  EXPECT_EQ(world.State(), "");
  EXPECT_THAT(world.poller.latest, IsEmpty());
}

TEST_F(JobLife, AJobThatIsBeingDeletedIsLeftAlone) {
  Start();
  world.Change("/metadata/deletionTimestamp", world.Now());
  world.calls.clear();
  world.PodFails("digits-worker-0");
  world.DrainQueue();
  EXPECT_THAT(world.calls, IsEmpty());
}

TEST_F(JobLife, ANewJobOfTheSameNameStartsAfresh) {
  Start();
  world.client.Remove(kube::kElephasJob, World::kName);
  world.Apply(MakeJob("digits").Set("/metadata/uid", "uid-other"));
  world.DrainQueue();
  EXPECT_THAT(world.State(), StartsWith("Starting 0/2 ServersStarting\n"));
}

TEST_F(JobLife, AnUnavailableServerIsAnErrorToTryAgain) {
  world.Apply(MakeJob("digits"));
  world.client.FailNext({.verb = "apply", .kind = "Service"}, Unavailable("etcd leader changed"));
  const Status status = world.ReconcileOnce();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("default/digits"));
  world.DrainQueue();
  EXPECT_THAT(world.State(), Not(HasSubstr("Failed")));
}

}  // namespace
}  // namespace elephas
