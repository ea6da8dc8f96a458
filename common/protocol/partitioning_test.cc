#include "common/protocol/partitioning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace elephas {
namespace {

using testing::ElementsAre;

std::vector<std::int64_t> Sizes(std::int64_t examples, std::int64_t partitions) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t p = 0; p < partitions; ++p) {
    sizes.push_back(PartitionRows(examples, partitions, p).size());
  }
  return sizes;
}

TEST(PartitionRowsTest, LargerPartitionsComeFirst) {
  EXPECT_THAT(Sizes(10, 4), ElementsAre(3, 3, 2, 2));
  EXPECT_THAT(Sizes(8, 4), ElementsAre(2, 2, 2, 2));
  EXPECT_THAT(Sizes(1, 1), ElementsAre(1));
}

TEST(PartitionRowsTest, MorePartitionsThanExamplesLeaveTheLastOnesEmpty) {
  EXPECT_THAT(Sizes(2, 5), ElementsAre(1, 1, 0, 0, 0));
  EXPECT_THAT(Sizes(0, 3), ElementsAre(0, 0, 0));
}

TEST(PartitionRowsTest, EveryExampleIsInExactlyOnePartition) {
  for (std::int64_t examples = 0; examples <= 40; ++examples) {
    for (std::int64_t partitions = 1; partitions <= 12; ++partitions) {
      std::int64_t next = 0;
      for (std::int64_t p = 0; p < partitions; ++p) {
        const Range rows = PartitionRows(examples, partitions, p);
        EXPECT_EQ(rows.first, next);
        next = rows.last;
      }
      EXPECT_EQ(next, examples) << examples << " in " << partitions;
    }
  }
}

TEST(PartitionRowsTest, LargeNumbersDoNotOverflow) {
  constexpr std::int64_t kMany = (std::int64_t{1} << 48) + 3;
  EXPECT_EQ(PartitionRows(kMany, 4, 3).last, kMany);
  EXPECT_EQ(ShardElements(kMany, 3, 2).last, kMany);
}

struct SplitCase {
  std::string name;
  std::int64_t examples;
  double split;
  std::int64_t training;
};
void PrintTo(const SplitCase& one, std::ostream* out) { *out << one.name; }

class TrainingExamplesTest : public testing::TestWithParam<SplitCase> {};

// The numbers are Keras': int(floor(examples * (1 - split))) in double precision.
INSTANTIATE_TEST_SUITE_P(, TrainingExamplesTest,
                         testing::Values(SplitCase{"NoSplitTrainsOnAll", 1797, 0.0, 1797},
                                         SplitCase{"ATenthOfAHundred", 100, 0.1, 90},
                                         SplitCase{"ATenthOfTheDigits", 1797, 0.1, 1617},
                                         SplitCase{"RoundsDown", 10, 0.25, 7},
                                         SplitCase{"AsDoublesHaveIt", 1000, 0.7, 300},
                                         SplitCase{"OneExampleMayBeLost", 1, 0.5, 0}),
                         [](const auto& each) { return each.param.name; });

TEST_P(TrainingExamplesTest, IsWhatKerasTakes) {
  EXPECT_EQ(TrainingExamples(GetParam().examples, GetParam().split), GetParam().training);
}

TEST(BatchesTest, TheLastBatchMayBeSmaller) {
  EXPECT_EQ(BatchCount(10, 4), 3);
  EXPECT_EQ(BatchRows(10, 4, 0), (Range{0, 4}));
  EXPECT_EQ(BatchRows(10, 4, 2), (Range{8, 10}));
}

TEST(BatchesTest, APartitionSmallerThanABatchHasOneBatchAndAnEmptyOneHasNone) {
  EXPECT_EQ(BatchCount(3, 32), 1);
  EXPECT_EQ(BatchRows(3, 32, 0), (Range{0, 3}));
  EXPECT_EQ(BatchCount(0, 32), 0);
}

TEST(BatchesTest, ABatchBeyondTheEndIsEmpty) {
  EXPECT_EQ(BatchRows(10, 4, 3), (Range{10, 10}));
  EXPECT_EQ(BatchRows(8, 4, 2).size(), 0);
}

TEST(ShardElementsTest, ServersCoverTheArenaAndMayHaveNothing) {
  EXPECT_EQ(ShardElements(7, 3, 0), (Range{0, 3}));
  EXPECT_EQ(ShardElements(7, 3, 2), (Range{5, 7}));
  EXPECT_EQ(ShardElements(1, 3, 2), (Range{1, 1}));
}

}  // namespace
}  // namespace elephas
