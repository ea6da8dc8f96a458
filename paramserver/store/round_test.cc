#include "paramserver/store/round.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "common/base/random.h"
#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

class RoundTest : public testing::Test {
 protected:
  Round::Contribution Of(const std::vector<float>& delta,
                         const std::vector<std::vector<float>>& slots = {},
                         std::int64_t steps = 1) {
    Round::Contribution contribution{Floats(pool_, delta), {}, steps};
    for (const auto& slot : slots) contribution.slots.push_back(Floats(pool_, slot));
    return contribution;
  }
  // Numbers whose sum depends on the order in which they are added.
  static std::vector<float> Awkward(std::uint64_t seed, std::size_t size) {
    SplitMix64 random(seed);
    std::vector<float> values(size);
    for (float& value : values) {
      const double scale = std::pow(10.0, static_cast<double>(random.Below(12)) - 6);
      value = static_cast<float>((random.NextDouble() - 0.5) * scale);
    }
    return values;
  }
  BufferPool pool_;
};

TEST_F(RoundTest, MeansWeighByExamples) {
  Round round({1, 3});
  round.Add(0, Of({8}, {{4}}, 5));
  EXPECT_FALSE(round.complete());
  round.Add(1, Of({16}, {{0}}, 9));
  ASSERT_TRUE(round.complete());
  EXPECT_EQ(Values(*round.mean().delta), (std::vector<float>{14}));
  EXPECT_EQ(Values(*round.mean().slots[0]), (std::vector<float>{1}));
  EXPECT_EQ(round.mean().steps, 9);
}

TEST_F(RoundTest, OnePartitionIsTakenAsItIs) {
  Round round({7});
  const std::vector<float> values = Awkward(1, 100);
  round.Add(0, Of(values));
  ASSERT_TRUE(round.complete());
  EXPECT_EQ(Values(*round.mean().delta), values);
}

TEST_F(RoundTest, PartitionsWithoutExamplesHaveNoPart) {
  Round round({0, 2, 0, 2, 0});
  round.Add(3, Of({2}));
  EXPECT_FALSE(round.complete());
  EXPECT_TRUE(round.Has(3));
  EXPECT_FALSE(round.Has(1));
  round.Add(1, Of({4}));
  ASSERT_TRUE(round.complete());
  EXPECT_EQ(Values(*round.mean().delta), (std::vector<float>{3}));
}

TEST_F(RoundTest, EveryOrderOfArrivalGivesTheSameBits) {
  constexpr std::size_t kPartitions = 5;
  std::vector<std::int64_t> order(kPartitions);
  std::iota(order.begin(), order.end(), 0);
  std::vector<float> expected;
  std::vector<float> expected_slot;
  int orders = 0;
  do {
    Round round({3, 1, 4, 1, 5});
    for (const std::int64_t p : order) {
      EXPECT_FALSE(round.complete());
      const auto seed = static_cast<std::uint64_t>(p);
      round.Add(p, Of(Awkward(seed, 33), {Awkward(seed + 100, 33)}, p));
    }
    ASSERT_TRUE(round.complete());
    if (expected.empty()) {
      expected = Values(*round.mean().delta);
      expected_slot = Values(*round.mean().slots[0]);
    }
    EXPECT_EQ(Values(*round.mean().delta), expected);
    EXPECT_EQ(Values(*round.mean().slots[0]), expected_slot);
    EXPECT_EQ(round.mean().steps, 4);
    ++orders;
  } while (std::ranges::next_permutation(order).found);
  EXPECT_EQ(orders, 120);
}

TEST_F(RoundTest, TheSumIsTakenInPartitionOrder) {
  // 2^24 + 1 is lost, 1 + 1 + 2^24 is not: the order can be read off the result.
  Round round({1, 1, 1, 1});
  constexpr float kLarge = 67108864.0F;  // a quarter of it is 2^24
  round.Add(3, Of({kLarge}));
  round.Add(2, Of({0}));
  round.Add(1, Of({4}));
  round.Add(0, Of({4}));
  EXPECT_EQ(Values(*round.mean().delta)[0], 16777218.0F);
}

}  // namespace
}  // namespace elephas
