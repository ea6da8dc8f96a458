#include "cli/cluster/cluster_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "common/base/testing/fake_clock.h"
#include "kube/testing/fake_client.h"

namespace elephas::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kManifest =
    "apiVersion: elephas.dev/v1alpha1\nkind: ElephasJob\nmetadata: {name: digits}\n"
    "spec:\n  model: {uri: m.json}\n  compile: {loss: mse}\n  data: {uri: d.npz}\n"
    "  output: {uri: out}\n";

json JobNamed(const std::string& name, const json& status = nullptr) {
  json job{{"metadata", {{"namespace", "team"}, {"name", name}}}, {"spec", {{"task", "train"}}}};
  if (!status.is_null()) job["status"] = status;
  return job;
}

json Ended(const std::string& type, const std::string& reason) {
  return {{"state", type},
          {"conditions",
           {{{"type", type}, {"status", "True"}, {"reason", reason}, {"message", "because"}}}}};
}

json PodOf(const std::string& name, const std::string& role, int index) {
  return {{"metadata",
           {{"namespace", "team"},
            {"name", name},
            {"labels",
             {{"app.kubernetes.io/managed-by", "elephas-operator"},
              {"app.kubernetes.io/instance", "digits"},
              {"app.kubernetes.io/component", role},
              {"elephas.dev/index", std::to_string(index)},
              {"elephas.dev/attempt", "0"}}}}}};
}

class ClusterCommandsTest : public testing::Test {
 protected:
  Cluster MakeCluster() {
    return {.client = client_,
            .refusals = refusals_,
            .clock = clock_,
            .ns = options_.cluster.ns.empty() ? "team" : options_.cluster.ns,
            .out = out_,
            .err = err_,
            .stop = stop_.get_token(),
            .sleep = [this](std::chrono::milliseconds time) { sleeps_.push_back(time.count()); }};
  }
  int RunSubmit(const std::string& text = kManifest) {
    const ParsedManifest manifest = ParseManifest(text, "job.yaml");
    EXPECT_TRUE(manifest.problems.empty()) << ToString(manifest.problems.front());
    json document{{"apiVersion", "elephas.dev/v1alpha1"},
                  {"kind", "ElephasJob"},
                  {"metadata", manifest.document["metadata"]},
                  {"spec", {{"task", "train"}}}};
    const auto reporter = MakeReporter({}, out_, err_);
    return Submit(options_, manifest, document, *reporter, MakeCluster());
  }
  std::string Out() { return std::exchange(out_, std::ostringstream()).str(); }
  std::string Err() { return std::exchange(err_, std::ostringstream()).str(); }

  FakeClock clock_;
  kube::FakeClient client_{clock_};
  RefusalKeeper refusals_;
  Options options_;
  std::ostringstream out_, err_;
  std::stop_source stop_;
  std::vector<std::int64_t> sleeps_;
};

// --- submit ----------------------------------------------------------------------------------

TEST_F(ClusterCommandsTest, SubmitCreatesThenConfiguresThenLeavesAlone) {
  EXPECT_EQ(RunSubmit(), kExitSuccess);
  EXPECT_EQ(Out(), "elephasjob.elephas.dev/digits created\n");
  EXPECT_TRUE(client_.Find(kube::kElephasJob, {"team", "digits"}));
  EXPECT_EQ(RunSubmit(), kExitSuccess);
  EXPECT_EQ(Out(), "elephasjob.elephas.dev/digits unchanged\n");
  json other = *client_.Find(kube::kElephasJob, {"team", "digits"});
  other["spec"]["task"] = "predict";
  client_.Put(kube::kElephasJob, other);
  EXPECT_EQ(RunSubmit(), kExitSuccess);
  EXPECT_EQ(Out(), "elephasjob.elephas.dev/digits configured\n");
}

TEST_F(ClusterCommandsTest, AJobWithoutANameIsCreatedUnderANewOneEachTime) {
  std::string text = kManifest;
  text.replace(text.find("{name: digits}"), 14, "{generateName: digits-}");
  EXPECT_EQ(RunSubmit(text), kExitSuccess);
  const std::string first = Out();
  EXPECT_THAT(first, testing::MatchesRegex("elephasjob.elephas.dev/digits-.+ created\n"));
  EXPECT_EQ(RunSubmit(text), kExitSuccess);
  EXPECT_NE(Out(), first);
  EXPECT_THAT(client_.TakeCalls(), testing::Not(testing::Contains(testing::StartsWith("apply"))));
  // What became of a lost request is not known, so it is not repeated.
  client_.FailNext({.verb = "create"}, Unavailable("away"));
  EXPECT_EQ(RunSubmit(text), kExitFailure);
  EXPECT_THAT(Err(), HasSubstr("Unable to connect to the server: away"));
}

TEST_F(ClusterCommandsTest, SubmitSaysWhenTheJobIsOverAlready) {
  RunSubmit();
  client_.PutStatus(kube::kElephasJob, {"team", "digits"}, Ended("Succeeded", "JobSucceeded"));
  EXPECT_EQ(RunSubmit(), kExitSuccess);
  EXPECT_THAT(Err(), HasSubstr("digits is over already"));
}

// `elephas submit` of a file that kubectl had applied ended in a bare conflict.
TEST_F(ClusterCommandsTest, SubmitTakesOverWhatOthersHaveSetToTheSame) {
  const auto conflict_at = [&](const char* field) {
    refusals_.Refused(
        {{"reason", "Conflict"},
         {"message", "Apply failed with 1 conflict"},
         {"details",
          {{"causes",
            {{{"reason", "FieldManagerConflict"},
              {"field", field},
              {"message", "conflict with \"kubectl-client-side-apply\" using v1"}}}}}}});
    client_.FailNext({.verb = "apply"}, Conflict("Apply failed with 1 conflict"));
  };
  RunSubmit();
  Out();
  conflict_at(".spec.task");
  EXPECT_EQ(RunSubmit(), kExitSuccess);
  EXPECT_EQ(Out(), "elephasjob.elephas.dev/digits unchanged\n");
  json other = *client_.Find(kube::kElephasJob, {"team", "digits"});
  other["spec"]["task"] = "predict";
  client_.Put(kube::kElephasJob, other);
  conflict_at(".spec.task");
  EXPECT_EQ(RunSubmit(), kExitFailure);
  EXPECT_THAT(Err(), HasSubstr("error: Apply failed with 1 conflict:\n- .spec.task: \"predict\" on "
                               "the cluster, set by \"kubectl-client-side-apply\" using v1; "
                               "\"train\" in the manifest\nEither --force-conflicts takes"));
  EXPECT_EQ((*client_.Find(kube::kElephasJob, {"team", "digits"}))["spec"]["task"], "predict");
  // With the flag it is taken over, as the text says.
  options_.force_conflicts = true;
  EXPECT_EQ(RunSubmit(), kExitSuccess);
  EXPECT_EQ(Out(), "elephasjob.elephas.dev/digits configured\n");
}

TEST_F(ClusterCommandsTest, SubmitRefusesTwoNamespaces) {
  options_.cluster.ns = "mine";
  std::string text = kManifest;
  text.replace(text.find("{name: digits}"), 14, "{name: digits, namespace: yours}");
  EXPECT_EQ(RunSubmit(text), kExitUsage);
  EXPECT_THAT(Err(), HasSubstr("You must pass '--namespace=yours'"));
  EXPECT_TRUE(client_.TakeCalls().empty());
}

TEST_F(ClusterCommandsTest, WhatTheClusterCallsInvalidIsAWrongManifest) {
  client_.FailNext({.verb = "apply"}, Invalid("spec.mode: mode is immutable"));
  EXPECT_EQ(RunSubmit(), kExitUsage);
  EXPECT_THAT(Err(), HasSubstr("spec.mode: mode is immutable"));
  client_.FailNext({.verb = "apply"}, Forbidden("user \"jane\" cannot patch"));
  EXPECT_EQ(RunSubmit(), kExitFailure);
}

TEST_F(ClusterCommandsTest, ABusyServersRetryAfterIsHonoured) {
  client_.FailNext({.verb = "apply"}, Unavailable("busy").WithRetryAfter(std::chrono::seconds(2)),
                   2);
  EXPECT_EQ(RunSubmit(), kExitSuccess);
  EXPECT_THAT(sleeps_, ElementsAre(2'000, 2'000));
  client_.FailNext({.verb = "apply"}, Unavailable("away"));
  EXPECT_EQ(RunSubmit(), kExitFailure);
  EXPECT_THAT(Err(), HasSubstr("Unable to connect to the server: away"));
}

struct EndCase {
  const char* name;
  json status;
  int exit_code;
  const char* text;  // somewhere on both streams
};
class FollowEndTest : public ClusterCommandsTest, public testing::WithParamInterface<EndCase> {};

TEST_P(FollowEndTest, TheExitCodeSaysHowTheJobEnded) {
  options_.follow = true;
  int exit_code = -1;
  std::jthread command([&] { exit_code = RunSubmit(); });
  ASSERT_TRUE(client_.WaitForWatches(kube::kElephasJob, 1));
  client_.PutStatus(kube::kElephasJob, {"team", "digits"}, {{"state", "Starting"}});
  if (GetParam().status.is_null()) {
    client_.Remove(kube::kElephasJob, {"team", "digits"});
  } else {
    client_.PutStatus(kube::kElephasJob, {"team", "digits"}, GetParam().status);
  }
  command.join();
  EXPECT_EQ(exit_code, GetParam().exit_code);
  EXPECT_THAT(Out() + Err(), HasSubstr(GetParam().text));
}

INSTANTIATE_TEST_SUITE_P(
    , FollowEndTest,
    testing::Values(EndCase{"Succeeded", Ended("Succeeded", "JobSucceeded"), kExitSuccess,
                            "digits: done in"},
                    EndCase{"Failed", Ended("Failed", "BackoffLimitExceeded"), kExitFailure,
                            "digits failed: because (BackoffLimitExceeded)\nlogs: elephas logs "
                            "digits -n team"},
                    EndCase{"Deleted", nullptr, kExitFailure, "the job was deleted (Deleted)"}),
    [](const auto& row) { return row.param.name; });

TEST_F(ClusterCommandsTest, FollowSurvivesALostWatchAndAServerThatIsAway) {
  options_.follow = true;
  int exit_code = -1;
  std::jthread command([&] { exit_code = RunSubmit(); });
  ASSERT_TRUE(client_.WaitForWatches(kube::kElephasJob, 1));
  client_.FailNext({.verb = "get"}, Unavailable("away"), 3);
  client_.CloseWatches();
  client_.PutStatus(kube::kElephasJob, {"team", "digits"}, Ended("Succeeded", "JobSucceeded"));
  command.join();
  EXPECT_EQ(exit_code, kExitSuccess);
  EXPECT_THAT(Err(), HasSubstr("away; trying again"));
  EXPECT_EQ(sleeps_.size(), 3U);
}

TEST_F(ClusterCommandsTest, CtrlCLeavesTheJobRunning) {
  options_.follow = true;
  int exit_code = -1;
  std::jthread command([&] { exit_code = RunSubmit(); });
  ASSERT_TRUE(client_.WaitForWatches(kube::kElephasJob, 1));
  stop_.request_stop();
  command.join();
  EXPECT_EQ(exit_code, 130);
  EXPECT_THAT(Err(), HasSubstr("goes on without being followed"));
  EXPECT_TRUE(client_.Find(kube::kElephasJob, {"team", "digits"}));
}

// --- get -------------------------------------------------------------------------------------

TEST_F(ClusterCommandsTest, GetShowsATableOfTheNamespace) {
  client_.Put(kube::kElephasJob, JobNamed("a", {{"state", "Running"}}));
  json other = JobNamed("b");
  other["metadata"]["namespace"] = "other";
  client_.Put(kube::kElephasJob, other);
  EXPECT_EQ(GetJobs(options_, MakeCluster()), kExitSuccess);
  EXPECT_EQ(Out(),
            "NAME   STATE     EPOCH   PROGRESS   LOSS   WORKERS   AGE\n"
            "a      Running                                       0s\n");
  options_.all_namespaces = true;
  EXPECT_EQ(GetJobs(options_, MakeCluster()), kExitSuccess);
  EXPECT_THAT(Out(), HasSubstr("other       b "));
}

TEST_F(ClusterCommandsTest, GetSaysWhenThereIsNothing) {
  EXPECT_EQ(GetJobs(options_, MakeCluster()), kExitSuccess);
  EXPECT_EQ(Out(), "");
  EXPECT_EQ(Err(), "No resources found in team namespace.\n");
  options_.output = "json";
  EXPECT_EQ(GetJobs(options_, MakeCluster()), kExitSuccess);
  EXPECT_EQ(json::parse(Out())["items"], json::array());
}

TEST_F(ClusterCommandsTest, GetWritesYamlJsonAndNames) {
  json job = JobNamed("a");
  job["metadata"]["managedFields"] = {{{"manager", "kubectl"}}};
  client_.Put(kube::kElephasJob, job);
  options_.names = {"a"};
  options_.output = "json";
  EXPECT_EQ(GetJobs(options_, MakeCluster()), kExitSuccess);
  const json printed = json::parse(Out());
  EXPECT_EQ(printed["kind"], "ElephasJob");
  EXPECT_FALSE(printed["metadata"].contains("managedFields"));
  options_.output = "yaml";
  GetJobs(options_, MakeCluster());
  EXPECT_THAT(Out(), HasSubstr("kind: ElephasJob\n"));
  options_.output = "name";
  GetJobs(options_, MakeCluster());
  EXPECT_EQ(Out(), "elephasjob.elephas.dev/a\n");
}

TEST_F(ClusterCommandsTest, GetNamesEachMissingJobAndShowsTheOthers) {
  client_.Put(kube::kElephasJob, JobNamed("a"));
  options_.names = {"a", "b"};
  options_.output = "name";
  EXPECT_EQ(GetJobs(options_, MakeCluster()), kExitFailure);
  EXPECT_EQ(Out(), "elephasjob.elephas.dev/a\n");
  EXPECT_THAT(Err(), HasSubstr("elephasjobs.elephas.dev \"b\" not found"));
}

// --- logs ------------------------------------------------------------------------------------

class LogsTest : public ClusterCommandsTest {
 protected:
  LogsTest() {
    options_.names = {"digits"};
    client_.Put(kube::kElephasJob, JobNamed("digits", {{"state", "Running"}}));
  }
  void AddPods() {
    for (const auto& [name, role, index] :
         {std::tuple("digits-worker-0", "worker", 0), std::tuple("digits-worker-1", "worker", 1),
          std::tuple("digits-paramserver-0", "paramserver", 0)}) {
      client_.Put(kube::kPod, PodOf(name, role, index));
      client_.SetPodLog({"team", name}, std::string(name) + " says\nhello\n");
    }
  }
};

TEST_F(LogsTest, OfSeveralPodsEachLineSaysWhose) {
  AddPods();
  options_.role = "worker";
  EXPECT_EQ(PrintLogs(options_, MakeCluster()), kExitSuccess);
  EXPECT_EQ(Out(),
            "[digits-worker-0] digits-worker-0 says\n[digits-worker-0] hello\n"
            "[digits-worker-1] digits-worker-1 says\n[digits-worker-1] hello\n");
}

TEST_F(LogsTest, OfOnePodTheLogIsAsItIs) {
  AddPods();
  options_.role = "worker";
  options_.index = 1;
  options_.follow = true;
  EXPECT_EQ(PrintLogs(options_, MakeCluster()), kExitSuccess);
  EXPECT_EQ(Out(), "digits-worker-1 says\nhello\n");
}

TEST_F(LogsTest, FollowWaitsForPodsAndTheirContainers) {
  options_.follow = true;
  options_.role = "paramserver";
  Cluster cluster = MakeCluster();
  cluster.sleep = [&](std::chrono::milliseconds) { AddPods(); };
  client_.FailNext(
      {.verb = "log"},
      Invalid("container \"paramserver\" in pod \"digits-paramserver-0\" is waiting to "
              "start: ContainerCreating"));
  EXPECT_EQ(PrintLogs(options_, cluster), kExitSuccess);
  EXPECT_EQ(Out(), "digits-paramserver-0 says\nhello\n");
}

TEST_F(LogsTest, AJobWithoutPodsSaysSo) {
  EXPECT_EQ(PrintLogs(options_, MakeCluster()), kExitFailure);
  EXPECT_THAT(Err(), HasSubstr("digits (Running) has no such pods"));
  options_.names = {"none"};
  EXPECT_EQ(PrintLogs(options_, MakeCluster()), kExitFailure);
  EXPECT_THAT(Err(), HasSubstr("elephasjobs.elephas.dev \"none\" not found"));
}

TEST_F(LogsTest, ALogThatCannotBeReadIsAnError) {
  AddPods();
  client_.FailNext({.verb = "log", .name = "digits-worker-0"}, Forbidden("no pods/log for you"));
  EXPECT_EQ(PrintLogs(options_, MakeCluster()), kExitFailure);
  EXPECT_THAT(Out(), HasSubstr("digits-worker-1"));
  EXPECT_THAT(Err(), HasSubstr("no pods/log for you"));
}

// --- delete ----------------------------------------------------------------------------------

TEST_F(ClusterCommandsTest, DeleteSaysWhatIsGone) {
  client_.Put(kube::kElephasJob, JobNamed("a"));
  options_.names = {"a", "b"};
  EXPECT_EQ(DeleteJob(options_, MakeCluster()), kExitFailure);
  EXPECT_EQ(Out(), "elephasjob.elephas.dev \"a\" deleted\n");
  EXPECT_THAT(Err(), HasSubstr("\"b\" not found"));
  EXPECT_FALSE(client_.Find(kube::kElephasJob, {"team", "a"}));
  options_.ignore_not_found = true;
  EXPECT_EQ(DeleteJob(options_, MakeCluster()), kExitSuccess);
}

TEST_F(ClusterCommandsTest, DeleteWaitsUntilTheJobIsReallyGone) {
  json job = JobNamed("a");
  job["metadata"]["finalizers"] = {"foregroundDeletion"};
  client_.Put(kube::kElephasJob, job);
  options_.names = {"a"};
  options_.wait = true;
  Cluster cluster = MakeCluster();
  int looks = 0;
  cluster.sleep = [&](std::chrono::milliseconds) {
    if (++looks == 3) client_.Remove(kube::kElephasJob, {"team", "a"});
  };
  EXPECT_EQ(DeleteJob(options_, cluster), kExitSuccess);
  EXPECT_EQ(looks, 3);
}

}  // namespace
}  // namespace elephas::cli
