// Event log, history and throughput.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/base/testing/fake_clock.h"
#include "paramserver/job/event_log.h"
#include "paramserver/ledger/history.h"
#include "paramserver/ledger/throughput.h"

namespace elephas {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

TEST(EventLogTest, KeepsTheLastHundredWithTheirTime) {
  FakeClock clock;
  EventLog log(clock);
  EXPECT_EQ(log.ToJson(), json::array());
  for (int i = 0; i < 103; ++i) {
    clock.Advance(milliseconds(1));
    log.Add("Thing", "thing " + std::to_string(i));
  }
  const json events = log.ToJson();
  ASSERT_EQ(events.size(), 100U);
  EXPECT_EQ(events[0].at("message"), "thing 3");
  EXPECT_EQ(events[99],
            json({{"time", clock.UnixMillis()}, {"reason", "Thing"}, {"message", "thing 102"}}));
}

TEST(HistoryTest, HasOneValuePerEpochAndNullWhereThereIsNone) {
  EpochSummary first{10, 1.5, {{"loss", {"mean", {5, 10}}}}, {}};
  EpochSummary second{
      10, 2.5, {{"loss", {"mean", {std::nan(""), 10}}}}, {{"loss", {"mean", {3, 4}}}}};
  EXPECT_EQ(HistoryLists({first, second}), json::parse(R"({
    "examples": [10, 10], "seconds": [1.5, 2.5], "loss": [0.5, null], "val_loss": [null, 0.75]})"));
  EXPECT_EQ(HistoryLists({first, second, first}).at("val_loss"), json({nullptr, 0.75, nullptr}));
  EXPECT_EQ(HistoryLists({}), json::object());
}

TEST(HistoryTest, AMetricOfAnUnknownKindIsNull) {
  EXPECT_EQ(MetricValues({{"auc", {"curve", {1, 2, 3}}}, {"loss", {"mean", {1, 4}}}}),
            json({{"auc", nullptr}, {"loss", 0.25}}));
}

TEST(ThroughputTest, NeedsTwoMoments) {
  FakeClock clock;
  Throughput throughput;
  EXPECT_EQ(throughput.ExamplesPerSecond(), 0);
  throughput.Add(clock.Now(), 100);
  EXPECT_EQ(throughput.ExamplesPerSecond(), 0);
  throughput.Add(clock.Now(), 200);
  EXPECT_EQ(throughput.ExamplesPerSecond(), 0) << "no time has passed";
  clock.Advance(milliseconds(500));
  throughput.Add(clock.Now(), 200);
  EXPECT_EQ(throughput.ExamplesPerSecond(), 200);
}

TEST(ThroughputTest, ForgetsWhatIsLongAgo) {
  FakeClock clock;
  Throughput throughput;
  throughput.Add(clock.Now(), 0);
  for (int i = 0; i < 100; ++i) {
    clock.Advance(milliseconds(100));
    throughput.Add(clock.Now(), i < 50 ? 0 : (i - 49) * 10);
  }
  EXPECT_NEAR(throughput.ExamplesPerSecond(), 100, 3);
  throughput.Reset();
  EXPECT_EQ(throughput.ExamplesPerSecond(), 0);
}

TEST(ThroughputTest, ThousandsOfUpdatesInAMomentAreOneSample) {
  FakeClock clock;
  Throughput throughput;
  for (int i = 0; i < 10000; ++i) {
    if (i % 100 == 0) clock.Advance(milliseconds(1));
    throughput.Add(clock.Now(), i);
  }
  EXPECT_NEAR(throughput.ExamplesPerSecond(), 100000, 2000);
}

}  // namespace
}  // namespace elephas
