#include "operator/rules/replacement_backoff.h"

#include <gtest/gtest.h>

#include "operator/testing/builders.h"

namespace elephas {
namespace {

Observed WithContributors(std::set<std::string> names) {
  Observed observed;
  observed.progress.emplace();
  observed.progress->state = "Running";
  observed.progress->contributors = std::move(names);
  return observed;
}

TEST(ReplacementBackoff, PausesDoubleUpToFiveMinutes) {
  const std::int64_t expected[] = {0, 0, 10, 20, 40, 80, 160, 300, 300};
  for (std::int64_t n = 0; n < 9; ++n) EXPECT_EQ(PauseMs(n), expected[n] * 1000) << n;
  EXPECT_EQ(PauseMs(1'000'000'000), 300'000);
}

// A worker that crashed at once used up a backoffLimit of 6 within 10 s.
TEST(ReplacementBackoff, GrowsWithFailuresInARow) {
  const std::int64_t died = kStart + 1'000, now = kStart + 2'000;
  const Observed nothing;
  EXPECT_EQ(ReplaceAtMs(Worker(0).Ended(1, "Error"), nothing, now), died);
  EXPECT_EQ(ReplaceAtMs(Worker(0, 1).Ended(1, "Error").InARow(1), nothing, now), died + 10'000);
  EXPECT_EQ(ReplaceAtMs(Worker(0, 3).Ended(1, "Error").InARow(3), nothing, now), died + 40'000);
}

TEST(ReplacementBackoff, BeginsAnewWhenThePodDidSomething) {
  const Pod dead = Worker(0, 3).Ended(1, "Error").InARow(3);
  EXPECT_EQ(FailuresInARow(dead, WithContributors({"digits-worker-0-3"})), 1);
  // What its neighbours do says nothing about it.
  EXPECT_EQ(FailuresInARow(dead, WithContributors({"digits-worker-1", "digits-worker-0"})), 4);
  const Pod alive = Worker(0, 3).InARow(3);
  EXPECT_EQ(FailuresInARow(alive, Observed{}), 3);
  EXPECT_EQ(FailuresInARow(alive, WithContributors({"digits-worker-0-3"})), 0);
}

// Four workers whose init container failed used up a backoffLimit of 6 with their first
// replacements.
TEST(ReplacementBackoff, WhereSeveralComeToNothingTheFirstDeathWaitsAsWell) {
  const Pod dead = Worker(0).Ended(1, "Error");
  const auto pause = [&](std::vector<Pod> others, std::set<std::string> contributors = {}) {
    Observed observed = WithContributors(std::move(contributors));
    observed.pods = std::move(others);
    observed.pods.push_back(dead);
    return PauseOfMs(dead, observed);
  };
  EXPECT_EQ(pause({Worker(1)}), 0);
  EXPECT_EQ(pause({Worker(1).Ended(1, "Error")}), 10'000);
  EXPECT_EQ(pause({Worker(1, 1).InARow(1)}), 10'000);
  EXPECT_EQ(pause({Worker(1, 1).InARow(1)}, {"digits-worker-1-1"}), 0);
  EXPECT_EQ(pause({Worker(1).Evicted()}), 0);
  // Two workers that were killed while they worked.
  EXPECT_EQ(pause({Worker(1).Ended(137, "Error")}, {"digits-worker-0", "digits-worker-1"}), 0);
}

TEST(ReplacementBackoff, WhatIsNoFaultOfTheJobCostsNoTime) {
  const Observed nothing;
  EXPECT_LE(ReplaceAtMs(Worker(0, 3).Evicted().InARow(3), nothing, kStart), kStart);
  EXPECT_LE(ReplaceAtMs(Worker(0, 3).Deleting().InARow(3), nothing, kStart), kStart);
  EXPECT_EQ(FailuresInARow(Worker(0, 3).Evicted().InARow(3), nothing), 3);
}

TEST(ReplacementBackoff, AClockThatIsAheadIsNotWaitedFor) {
  const Pod dead = Worker(0, 1).Ended(1, "Error", "", kStart + 86'400'000).InARow(1);
  EXPECT_EQ(ReplaceAtMs(dead, Observed{}, kStart + 1'000), kStart + 10'000);
}

}  // namespace
}  // namespace elephas
