#include "cli/cluster/job_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/base/timestamp.h"

namespace elephas::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kNow = 1'700'000'000'000;

json Job(const json& status, const json& spec = {{"task", "train"}, {"fit", {{"epochs", 3}}}}) {
  return {{"metadata",
           {{"name", "digits"},
            {"namespace", "team"},
            {"uid", "u"},
            {"creationTimestamp", kube::TimeText(kNow - 65'000)}}},
          {"spec", spec},
          {"status", status}};
}

json Condition(const std::string& type, const std::string& status, const std::string& reason,
               const std::string& message) {
  return {{"type", type}, {"status", status}, {"reason", reason}, {"message", message}};
}

json Running(int epoch, int percent, const json& metrics) {
  return {{"conditions", {Condition("Running", "True", "Training", "2 of 2 workers run")}},
          {"state", "Running"},
          {"epoch", epoch},
          {"epochs", 3},
          {"progress", percent},
          {"metrics", metrics},
          {"examplesPerSecond", 24'310},
          {"estimatedCompletionTime", kube::TimeText(kNow + 20'000)}};
}

TEST(AgeTextTest, IsWrittenAsKubectlDoes) {
  EXPECT_EQ(AgeText(-3), "0s");
  EXPECT_EQ(AgeText(0), "0s");
  EXPECT_EQ(AgeText(119), "119s");
  EXPECT_EQ(AgeText(120), "2m");
  EXPECT_EQ(AgeText(200), "3m20s");
  EXPECT_EQ(AgeText(3'600), "60m");
  EXPECT_EQ(AgeText(4 * 3'600 + 300), "4h5m");
  EXPECT_EQ(AgeText(47 * 3'600), "47h");
  EXPECT_EQ(AgeText(3 * 86'400 + 7'200), "3d2h");
  EXPECT_EQ(AgeText(30 * 86'400), "30d");
}

TEST(JobTableTest, HasTheColumnsOfKubectl) {
  json job = Job({{"state", "Running"},
                  {"epoch", 2},
                  {"progress", 66},
                  {"loss", 0.25},
                  {"workers", {{"summary", "2/2"}}}});
  EXPECT_EQ(JobTable({job, Job(nullptr)}, {.now_millis = kNow}),
            "NAME     STATE     EPOCH   PROGRESS   LOSS   WORKERS   AGE\n"
            "digits   Running   2       66         0.25   2/2       65s\n"
            "digits                                                 65s\n");
}

TEST(JobTableTest, WideAndNamespacesAddColumns) {
  json status = Running(1, 33, json::object());
  status["restarts"] = 4;
  const std::string table =
      JobTable({Job(status)}, {.wide = true, .namespaces = true, .now_millis = kNow});
  EXPECT_THAT(table, testing::StartsWith("NAMESPACE   NAME "));
  EXPECT_THAT(table, HasSubstr("TASK    MODE   REASON     RESTARTS\n"));
  EXPECT_THAT(table, HasSubstr("train          Training   4\n"));
}

TEST(JobTableTest, ControlCharactersDoNotReachTheTerminal) {
  const std::string table = JobTable({Job({{"state", "\x1b[31mred"}})}, {.now_millis = kNow});
  EXPECT_EQ(table.find('\x1b'), std::string::npos);
}

TEST(JobFollowerTest, AConditionIsToldOnceForEachReason) {
  JobFollower follower;
  json status{
      {"conditions", {Condition("Running", "False", "QuotaExceeded", "exceeded quota: compute")}}};
  EXPECT_THAT(follower.Take(Job(status), kNow).notes,
              ElementsAre(testing::Pair("QuotaExceeded", "exceeded quota: compute")));
  EXPECT_TRUE(follower.Take(Job(status), kNow).notes.empty());
  status["conditions"][0]["reason"] = "WorkersStarting";
  EXPECT_EQ(follower.Take(Job(status), kNow).notes.size(), 1U);
}

// What `elephas run` would print of the same.
TEST(JobFollowerTest, OneReporterServesLocalRunsAndClusters) {
  std::ostringstream out, err;
  const auto reporter = MakeReporter({}, out, err);
  JobFollower follower;
  const auto take = [&](const json& status) {
    JobFollower::News news = follower.Take(Job(status), kNow);
    for (const auto& [reason, message] : news.notes) reporter->Note(reason, message);
    news.end ? reporter->Ended(*news.end) : reporter->Progress(news.status);
  };
  reporter->Started(JobFollower::InfoOf(Job(nullptr)));
  take(nullptr);
  take(Running(0, 10, json::object()));
  take(Running(1, 40, {{"loss", 0.5}, {"accuracy", 0.75}}));
  json over = Running(3, 100, {{"loss", 0.125}, {"accuracy", 0.9}});
  over["conditions"] = {Condition("Succeeded", "True", "JobSucceeded", "done")};
  over["startTime"] = kube::TimeText(kNow);
  over["completionTime"] = kube::TimeText(kNow + 30'000);
  over["outputs"] = {"out/model.keras"};
  take(over);
  EXPECT_EQ(out.str(),
            "digits: train, asynchronous, frequency epoch; 1 parameter server, 1 worker\n"
            "Training: 2 of 2 workers run\n"
            "Epoch 1/3  loss 0.5000 accuracy 0.7500\n"
            "Epoch 2/3\n"  // passed unseen
            "Epoch 3/3  loss 0.1250 accuracy 0.9000\n"
            "digits: done in 30 s  loss 0.1250 accuracy 0.9000\n"
            "  out/model.keras\n");
  EXPECT_EQ(err.str(), "");
}

TEST(JobFollowerTest, TheLiveLineIsThatOfALocalRun) {
  JobFollower follower;
  const auto news = follower.Take(Job(Running(1, 40, {{"loss", 0.5}})), kNow);
  EXPECT_EQ(news.status["state"], "Running");
  EXPECT_DOUBLE_EQ(news.status["progress"].get<double>(), 0.4);
  EXPECT_DOUBLE_EQ(news.status["secondsRemaining"].get<double>(), 20);
  EXPECT_EQ(news.status["examplesPerSecond"], 24'310);
}

TEST(JobFollowerTest, EpochsThatComeAgainAreToldAgain) {
  JobFollower follower;
  follower.Take(Job(Running(2, 66, {{"loss", 0.5}})), kNow);
  EXPECT_TRUE(follower.Take(Job(Running(0, 0, nullptr)), kNow).status["history"].empty());
  EXPECT_EQ(follower.Take(Job(Running(1, 33, {{"loss", 0.7}})), kNow).status["history"],
            (json{{"loss", {0.7}}}));
}

TEST(JobFollowerTest, AFailureHasItsReasonMessageAndExitCode) {
  JobFollower follower;
  const auto news = follower.Take(
      Job({{"conditions", {Condition("Failed", "True", "BackoffLimitExceeded", "7 deaths")}}}),
      kNow);
  ASSERT_TRUE(news.end.has_value());
  EXPECT_EQ(news.end->outcome.exit_code, kExitFailure);
  EXPECT_EQ(news.end->outcome.reason, "BackoffLimitExceeded");
  EXPECT_EQ(news.end->outcome.message, "7 deaths");
}

TEST(JobFollowerTest, AnEvaluationsMetricsAreItsResult) {
  JobFollower follower;
  json status = Running(0, 100, {{"loss", 0.5}});
  status["conditions"] = {Condition("Succeeded", "True", "JobSucceeded", "done")};
  const auto news = follower.Take(Job(status, {{"task", "evaluate"}}), kNow);
  EXPECT_EQ(news.end->status["result"]["metrics"], (json{{"loss", 0.5}}));
}

}  // namespace
}  // namespace elephas::cli
