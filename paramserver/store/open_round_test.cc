#include "paramserver/store/open_round.h"

#include <gtest/gtest.h>

#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

TEST(OpenRoundTest, IsCompleteWithAllPartitionsAndForgottenByReset) {
  BufferPool pool;
  OpenRound round;
  EXPECT_FALSE(round.complete());
  round.Begin(Round({1, 1}));
  FitDecisions decisions;
  decisions.learning_rate = 0.5;
  round.Add(Partition(1), {Floats(pool, {4}), {}, 1}, decisions);
  EXPECT_FALSE(round.complete());
  round.Add(Partition(0), {Floats(pool, {2}), {}, 1}, decisions);
  ASSERT_TRUE(round.complete());
  EXPECT_EQ(Values(*round.mean().delta), (std::vector<float>{3}));
  EXPECT_EQ(round.learning_rate(), 0.5);
  round.Reset();
  EXPECT_FALSE(round.complete());
  EXPECT_EQ(round.learning_rate(), std::nullopt);
}

TEST(OpenRoundTest, TheOptimizerHasTheRateThatWasDecided) {
  const auto base =
      Optimizer::FromConfig({{"class_name", "SGD"}, {"config", {{"learning_rate", 1.0}}}});
  ASSERT_TRUE(base.ok());
  OpenRound round;
  EXPECT_EQ(round.WithRate(**base, std::nullopt).value(), base->get());
  EXPECT_DOUBLE_EQ(round.WithRate(**base, 0.25).value()->LearningRate(0), 0.25);
  EXPECT_DOUBLE_EQ(round.WithRate(**base, 0.125).value()->LearningRate(0), 0.125);
}

}  // namespace
}  // namespace elephas
