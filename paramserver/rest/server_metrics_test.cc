#include "paramserver/rest/server_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "paramserver/testing/rest_fixture.h"

namespace elephas {
namespace {

using testing::HasSubstr;
using testing::Not;

class ServerMetricsTest : public testing::Test {
 protected:
  ServerMetricsTest() {
    spec_.name = "digits";
    job_.state = "Running";
  }
  // All series, without the labels that each has.
  [[nodiscard]] std::string Text(std::int64_t server = 0) const {
    std::string text =
        rest::ServerMetricsText({spec_, "uid-1", server}, /*ready=*/true, job_, rest_);
    const std::string common =
        R"(job="digits",role="paramserver",server=")" + std::to_string(server) + "\"";
    for (const std::string& from : {common + ",", "{" + common + "}"}) {
      for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos;) {
        text.erase(at, from.size());
      }
    }
    return text;
  }
  JobSpec spec_;
  JobSample job_;
  rest::RestMetrics::Counts rest_;
};

TEST_F(ServerMetricsTest, TheStateIsOneOfAll) {
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr(R"(elephas_paramserver_state{state="Running"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(elephas_paramserver_state{state="Failed"} 0)"));
}

TEST_F(ServerMetricsTest, LossAndMetricsAreSeriesByName) {
  job_.epoch_metrics = {{"loss", 0.5}, {"val_accuracy", 0.75}};
  job_.running_metrics = {{"loss", std::nan("")}};
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr(R"(elephas_paramserver_epoch_metric{metric="loss"} 0.5)"));
  EXPECT_THAT(text, HasSubstr(R"(elephas_paramserver_epoch_metric{metric="val_accuracy"} 0.75)"));
  EXPECT_THAT(text, HasSubstr(R"(elephas_paramserver_running_metric{metric="loss"} Nan)"));
}

TEST_F(ServerMetricsTest, AJobWithoutCheckpointsHasNoneOfTheirMetrics) {
  EXPECT_THAT(Text(), Not(HasSubstr("checkpoint")));
  job_.checkpoints.emplace();
  job_.checkpoints->unix_millis = 1'700'000'000'500;
  EXPECT_THAT(Text(), HasSubstr("elephas_paramserver_checkpoint_timestamp_seconds 1700000000.5\n"));
  // There is no file yet, so it has no size.
  EXPECT_THAT(Text(), Not(HasSubstr("checkpoint_size_bytes")));
}

TEST_F(ServerMetricsTest, WorkersAreServerZerosAffair) {
  job_.workers = {{"worker-0", true, 640, 0.5}, {"worker-1", false, 0, 0}};
  job_.lost_workers = 3;
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr(R"(elephas_paramserver_workers{state="Working"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(elephas_paramserver_workers{state="Idle"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(elephas_paramserver_workers{state="Lost"} 3)"));
  EXPECT_THAT(text,
              HasSubstr(R"(elephas_paramserver_worker_examples_total{worker="worker-0"} 640)"));
  EXPECT_THAT(Text(1), Not(HasSubstr("elephas_paramserver_worker")));
}

// --- the edge counts what the exporter shows ---

class UpdateOutcomeTest : public RestHandlerTest {
 protected:
  HttpReply Push() {
    return Send({.method = "POST",
                 .target = "/v1/updates",
                 .body = GoodUpdate(),
                 .type = "application/octet-stream"});
  }
  std::string Metrics() { return Send({.target = "/metrics"}).body; }
};

TEST_F(UpdateOutcomeTest, UpdatesAreCountedByOutcome) {
  ASSERT_EQ(Push().status, 200);
  ASSERT_EQ(Push().status, 200);
  service_.admits = UpdateOutcome::kDuplicate;
  ASSERT_EQ(Push().status, 200);
  service_.answer = Conflict("the round is over");
  ASSERT_EQ(Push().status, 409);
  service_.answer = OkStatus();
  const std::string text = Metrics();
  EXPECT_THAT(text, HasSubstr(R"(outcome="applied"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(outcome="duplicate"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(outcome="refused"} 1)"));
  EXPECT_THAT(text,
              HasSubstr(R"(push_seconds_count{job="digits",role="paramserver",server="0"} 3)"));
}

TEST_F(UpdateOutcomeTest, PullsAreTimedAndStrangersAddNoSeries) {
  (void)Send({.target = "/v1/parameters"});
  const std::string before = Metrics();
  EXPECT_THAT(before,
              HasSubstr(R"(pull_seconds_count{job="digits",role="paramserver",server="0"} 1)"));
  const auto series = [](const std::string& text) { return std::ranges::count(text, '\n'); };
  (void)Send({.method = "BREW", .target = "/x0", .authorization = ""});
  (void)Send({.target = "/v1/workers", .authorization = ""});
  const std::string after = Metrics();
  for (int i = 0; i < 1000; ++i) {
    (void)Send({.method = "BREW" + std::to_string(i), .target = "/x" + std::to_string(i)});
    (void)Send({.method = "DELETE", .target = "/v1/workers/w-" + std::to_string(i)});
  }
  // The one more: DELETE of a worker.
  EXPECT_LE(series(Metrics()), series(after) + 3);
}

}  // namespace
}  // namespace elephas
