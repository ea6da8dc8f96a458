#include "common/base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

namespace elephas {
namespace {

using testing::ElementsAre;
using testing::Ne;

TEST(SplitMix64Test, GivesThePublishedSequence) {
  SplitMix64 random(1234567);
  EXPECT_EQ(random.Next(), 6457827717110365317U);
  EXPECT_EQ(random.Next(), 3203168211198807973U);
  EXPECT_EQ(random.Next(), 9817491932198370423U);
  EXPECT_EQ(random.Next(), 4593380528125082431U);
  EXPECT_EQ(random.Next(), 16408922859458223821U);
}

TEST(SplitMix64Test, ZeroIsASeedLikeAnyOther) {
  SplitMix64 random(0);
  EXPECT_EQ(random.Next(), 0xE220A8397B1DCDAFU);
}

TEST(SplitMix64Test, BelowStaysBelowAndReachesEveryValueAboutEquallyOften) {
  SplitMix64 random(5);
  std::vector<int> counts(7);
  for (int i = 0; i < 7000; ++i) ++counts.at(random.Below(7));
  for (const int count : counts) {
    EXPECT_GT(count, 850);
    EXPECT_LT(count, 1150);
  }
  EXPECT_EQ(random.Below(1), 0U);
}

TEST(SplitMix64Test, DoublesAreInTheHalfOpenUnitInterval) {
  SplitMix64 random(6);
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const double value = random.NextDouble();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(MixSeedTest, EveryPartAndItsPlaceMatters) {
  EXPECT_EQ(MixSeed({7, 0, 0}), 0x9C01479161BC5D78U);
  EXPECT_EQ(MixSeed({7, 1, 0}), 0x7010C70C013E27ECU);
  std::set<std::uint64_t> seen;
  for (std::uint64_t a = 0; a < 10; ++a) {
    for (std::uint64_t b = 0; b < 10; ++b) {
      for (std::uint64_t c = 0; c < 10; ++c) seen.insert(MixSeed({a, b, c}));
    }
  }
  EXPECT_EQ(seen.size(), 1000U);
}

// A changed value here means that checkpoints of older versions train on in another order.
TEST(ShuffledRowsTest, IsAPureFunctionWithTheseValues) {
  EXPECT_THAT(ShuffledRows(10, 42, 0, 0), ElementsAre(6, 1, 8, 7, 5, 4, 0, 2, 9, 3));
  EXPECT_THAT(ShuffledRows(10, 42, 1, 0), ElementsAre(0, 2, 7, 5, 9, 3, 1, 8, 4, 6));
  EXPECT_THAT(ShuffledRows(10, 42, 0, 1), ElementsAre(2, 1, 8, 9, 0, 7, 4, 6, 3, 5));
}

TEST(ShuffledRowsTest, IsAlwaysAPermutation) {
  for (const std::int64_t rows : {0, 1, 2, 3, 17, 100}) {
    for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
      std::vector<std::int64_t> order = ShuffledRows(rows, 1, epoch, 2);
      std::ranges::sort(order);
      std::vector<std::int64_t> all(static_cast<std::size_t>(rows));
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(order, all);
    }
  }
}

TEST(ShuffledRowsTest, SeedEpochAndPartitionEachGiveAnotherOrder) {
  const auto order = ShuffledRows(50, 1, 2, 3);
  EXPECT_THAT(ShuffledRows(50, 2, 2, 3), Ne(order));
  EXPECT_THAT(ShuffledRows(50, 1, 3, 3), Ne(order));
  EXPECT_THAT(ShuffledRows(50, 1, 2, 4), Ne(order));
}

TEST(ShuffledRowsTest, EveryRowComesFirstAboutEquallyOften) {
  std::vector<int> first(5);
  for (std::int64_t epoch = 0; epoch < 5000; ++epoch) {
    ++first.at(static_cast<std::size_t>(ShuffledRows(5, 9, epoch, 0)[0]));
  }
  for (const int count : first) {
    EXPECT_GT(count, 850);
    EXPECT_LT(count, 1150);
  }
}

}  // namespace
}  // namespace elephas
