#include "common/base/clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace elephas {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

TEST(SleepUnlessStopped, TakesItsTimeWhenNobodyStops) {
  const std::stop_source stop;
  const auto began = SteadyClock::now();
  EXPECT_TRUE(SleepUnlessStopped(milliseconds(20), stop.get_token()));
  EXPECT_GE(SteadyClock::now() - began, milliseconds(20));
}

TEST(SleepUnlessStopped, TakesItsTimeWithATokenThatNobodyCanStop) {
  EXPECT_TRUE(SleepUnlessStopped(milliseconds(1), {}));
}

// Both would take a day without the token; the test's own time limit would end them.
TEST(SleepUnlessStopped, EndsWhenStopIsRequestedMeanwhile) {
  std::stop_source stop;
  std::thread other([&stop] { stop.request_stop(); });
  EXPECT_FALSE(SleepUnlessStopped(std::chrono::hours(24), stop.get_token()));
  other.join();
}

TEST(SleepUnlessStopped, DoesNotBeginWhenStopWasRequestedBefore) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(SleepUnlessStopped(std::chrono::hours(24), stop.get_token()));
}

}  // namespace
}  // namespace elephas
