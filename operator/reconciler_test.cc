// The life of a job, with a cluster in memory.
#include "operator/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/world.h"

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
  world.client.FailNext({.verb = "create", .kind = "Pod"}, Invalid("spec.nodeSelektor: unknown"));
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
