#include "operator/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace elephas {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// What `count` jobs from `first` on make the operator do.
void Work(OperatorMetrics& metrics, std::int64_t first, std::int64_t count) {
  for (std::int64_t job = first; job < first + count; ++job) {
    metrics.Reconciled(job % 7 == 0 ? "retry" : "success", milliseconds(3));
    metrics.Replaced(milliseconds(20));
    for (const char* verb : {"get", "create", "apply", "delete", "watch"}) {
      metrics.CallEnded(verb, "Pod", job % 11 == 0 ? 409 : 200, 0.004);
    }
    metrics.QueueDepth("jobs", static_cast<std::size_t>(job % 90));
    metrics.QueueLatency("jobs", 0.01);
    metrics.QueueRetry("jobs");
    metrics.WatchRestarted("Pod", job % 2 == 0);
    metrics.SetJobs({{"Running", job}, {"Job" + std::to_string(job), 1}});
  }
}

std::int64_t Lines(const OperatorMetrics& metrics) {
  const std::string text = metrics.Text();
  return std::count(text.begin(), text.end(), '\n');
}

TEST(OperatorMetrics, ThousandsOfJobsAddNoSeries) {
  OperatorMetrics metrics;
  Work(metrics, 0, 100);
  const std::int64_t lines = Lines(metrics);
  Work(metrics, 100, 5'000);
  EXPECT_EQ(Lines(metrics), lines);
  EXPECT_LT(lines, 300);
  EXPECT_THAT(metrics.Text(), HasSubstr("elephas_operator_jobs{state=\"Running\"} 5099"));
  EXPECT_EQ(metrics.Text().find("Job17"), std::string::npos);
}

}  // namespace
}  // namespace elephas
