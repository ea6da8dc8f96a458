#include "common/telemetry/metrics_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace elephas {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::array kTable{
    MetricInfo{"updates_total", MetricType::kCounter, "updates", "outcome", "Updates."},
    MetricInfo{"loss", MetricType::kGauge, "", "metric", "The loss."},
    MetricInfo{"wait_seconds", MetricType::kHistogram, "seconds", "", "Waits."},
    MetricInfo{"unused", MetricType::kGauge, "", "", "Nothing."},
};
constexpr double kBounds[] = {0.5, 1};

TEST(HistogramTest, ABoundBelongsToItsOwnBucket) {
  Histogram histogram(kBounds);
  for (const double value : {0.0, 0.5, 0.75, 1.0, 7.0}) histogram.Observe(value);
  EXPECT_THAT(histogram.counts(), testing::ElementsAre(2, 2, 1));
  EXPECT_EQ(histogram.count(), 5U);
  EXPECT_EQ(histogram.sum(), 9.25);
}

TEST(MetricsPageTest, SeriesCarryTheCommonLabelsFirst) {
  MetricsPage page({kTable}, {{"job", "digits"}});
  page.Add("updates_total", 3, {{"outcome", "applied"}});
  EXPECT_EQ(page.Text(),
            "# HELP updates_total Updates.\n# TYPE updates_total counter\n"
            "updates_total{job=\"digits\",outcome=\"applied\"} 3\n");
}

TEST(MetricsPageTest, HistogramsAreCumulative) {
  MetricsPage page({kTable}, {});
  Histogram histogram(kBounds);
  for (const double value : {0.25, 0.75, 7.0}) histogram.Observe(value);
  page.Add("wait_seconds", histogram);
  const std::string text = page.Text();
  EXPECT_THAT(text, HasSubstr("wait_seconds_count 3\nwait_seconds_sum 8\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{le=\"0.5\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{le=\"1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{le=\"+Inf\"} 3\n"));
}

TEST(MetricsPageTest, NaNIsAValueAndBytesThatAreNotTextAreReplaced) {
  MetricsPage page({kTable}, {});
  page.Add("loss", std::nan(""), {{"metric", "l\xff\"oss\n\xc3\xa9"}});
  EXPECT_THAT(page.Text(), HasSubstr("loss{metric=\"l?\\\"oss\\n\xc3\xa9\"} Nan\n"));
}

TEST(MetricsPageTest, AMetricWithoutAValueIsAbsentNotZero) {
  MetricsPage page({kTable}, {});
  EXPECT_EQ(page.Text(), "");
}

TEST(MetricsPageDeathTest, AMetricThatIsNotInTheTableIsABug) {
  MetricsPage page({kTable}, {});
  EXPECT_DEATH(page.Add("surprise", 1), "surprise is not in the table");
  EXPECT_DEATH(page.Add("wait_seconds", 1), "wait_seconds is not in the table");
}

TEST(ProcessMetricsTest, ThisProcessHasAllOfThem) {
  MetricsPage page({ProcessMetricTable()}, {});
  AddProcessMetrics(page);
  const std::string text = page.Text();
  for (const MetricInfo& info : ProcessMetricTable()) {
    EXPECT_THAT(text, HasSubstr("# TYPE " + std::string(info.name) + " "));
  }
  EXPECT_THAT(text, Not(HasSubstr("process_threads 0\n")));
  EXPECT_THAT(text, Not(HasSubstr("process_resident_memory_bytes 0\n")));
}

}  // namespace
}  // namespace elephas
