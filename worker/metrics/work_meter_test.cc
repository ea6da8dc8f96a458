#include "worker/metrics/work_meter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/base/testing/fake_clock.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;

class WorkMeterTest : public testing::Test {
 protected:
  [[nodiscard]] double Seconds(Activity activity) const {
    return meter_.Read().activities[static_cast<std::size_t>(activity)].sum();
  }
  [[nodiscard]] std::uint64_t Times(Activity activity) const {
    return meter_.Read().activities[static_cast<std::size_t>(activity)].count();
  }
  FakeClock clock_;
  WorkMeter meter_{clock_};
};

TEST_F(WorkMeterTest, ATimerCountsFromBirthToDeath) {
  {
    const auto timer = meter_.Time(Activity::kExchange);
    clock_.Advance(milliseconds(1500));
  }
  EXPECT_EQ(Seconds(Activity::kExchange), 1.5);
  EXPECT_EQ(Times(Activity::kExchange), 1U);
}

TEST_F(WorkMeterTest, WhatIsWithinCountsForItselfOnly) {
  {
    const auto step = meter_.Time(Activity::kCompute);
    clock_.Advance(milliseconds(1000));
    {
      const auto rows = meter_.Time(Activity::kData);
      clock_.Advance(milliseconds(250));
    }
    clock_.Advance(milliseconds(1000));
    {
      const auto rows = meter_.Time(Activity::kData);
      clock_.Advance(milliseconds(250));
    }
  }
  EXPECT_EQ(Seconds(Activity::kCompute), 2.0);
  EXPECT_EQ(Times(Activity::kCompute), 1U);
  EXPECT_EQ(Seconds(Activity::kData), 0.5);
  EXPECT_EQ(Times(Activity::kData), 2U);
}

TEST_F(WorkMeterTest, AnotherThreadIsNotWithin) {
  {
    const auto step = meter_.Time(Activity::kCompute);
    std::thread([this] {
      const auto exchange = meter_.Time(Activity::kOverlapped);
      clock_.Advance(milliseconds(1000));
    }).join();
  }
  EXPECT_EQ(Seconds(Activity::kCompute), 1.0);
  EXPECT_EQ(Seconds(Activity::kOverlapped), 1.0);
}

TEST_F(WorkMeterTest, CountsByKindOfTask) {
  meter_.CountStep(WorkKind::kTrain, 64);
  meter_.CountStep(WorkKind::kTrain, 36);
  meter_.CountStep(WorkKind::kValidate, 10);
  meter_.CountTask(WorkKind::kTrain, true);
  meter_.CountTask(WorkKind::kTrain, false);
  const auto counts = meter_.Read();
  EXPECT_EQ(counts.kinds.at(WorkKind::kTrain).examples, 100U);
  EXPECT_EQ(counts.kinds.at(WorkKind::kTrain).steps, 2U);
  EXPECT_EQ(counts.kinds.at(WorkKind::kTrain).done, 1U);
  EXPECT_EQ(counts.kinds.at(WorkKind::kTrain).failed, 1U);
  EXPECT_EQ(counts.kinds.at(WorkKind::kValidate).examples, 10U);
  EXPECT_FALSE(counts.kinds.contains(WorkKind::kPredict));
}

}  // namespace
}  // namespace elephas
