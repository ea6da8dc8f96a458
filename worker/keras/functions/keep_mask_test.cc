#include "worker/keras/functions/keep_mask.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace elephas::keras {
namespace {

std::vector<float> Mask(std::size_t size, double keep, std::uint64_t seed) {
  std::vector<float> values(size, -1.0F);
  FillKeepMask(values, keep, 2.0F, seed);
  return values;
}

class KeepMask : public testing::TestWithParam<double> {};

TEST_P(KeepMask, KeepsTheShareThatItIsAskedFor) {
  constexpr std::size_t kSize = 1'000'003;
  const std::vector<float> values = Mask(kSize, GetParam(), 5);
  const auto kept = static_cast<double>(std::count(values.begin(), values.end(), 2.0F));
  const auto dropped = static_cast<double>(std::count(values.begin(), values.end(), 0.0F));
  EXPECT_EQ(kept + dropped, static_cast<double>(kSize));
  // Five standard deviations of a fair draw, at most 0.0025.
  EXPECT_NEAR(kept / static_cast<double>(kSize), GetParam(), 0.0025);
}

// Neighbours in memory come from different lanes, those 16 apart from one lane: neither may be
// alike.
TEST_P(KeepMask, DrawsEachValueIndependently) {
  constexpr std::size_t kSize = 1'000'003;
  const std::vector<float> values = Mask(kSize, GetParam(), 6);
  for (const std::size_t distance : {1U, 15U, 16U, 17U, 64U}) {
    double both = 0;
    for (std::size_t i = distance; i < kSize; ++i) {
      both += values[i] != 0.0F && values[i - distance] != 0.0F ? 1.0 : 0.0;
    }
    EXPECT_NEAR(both / static_cast<double>(kSize - distance), GetParam() * GetParam(), 0.0025)
        << "at distance " << distance;
  }
}

INSTANTIATE_TEST_SUITE_P(Shares, KeepMask, testing::Values(0.0, 0.1, 0.5, 0.75, 1.0));

TEST(KeepMaskSeeds, TheSameSeedGivesTheSameMaskAndAnotherSeedAnother) {
  EXPECT_EQ(Mask(1000, 0.5, 1), Mask(1000, 0.5, 1));
  EXPECT_NE(Mask(1000, 0.5, 1), Mask(1000, 0.5, 2));
}

TEST(KeepMaskSeeds, AShorterMaskIsTheBeginningOfALongerOne) {
  const std::vector<float> whole = Mask(64, 0.5, 3);
  for (std::size_t size = 0; size < 64; ++size) {
    const std::vector<float> part = Mask(size, 0.5, 3);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin())) << "size " << size;
  }
}

}  // namespace
}  // namespace elephas::keras
