#include "paramserver/checkpoint/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace elephas {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using Pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;  // cut, incarnation

std::vector<CheckpointFile> Files(const Pairs& pairs) {
  std::vector<CheckpointFile> files;
  for (const auto& [cut, incarnation] : pairs) files.push_back({cut, Incarnation(incarnation), ""});
  return files;
}
Pairs Counting(const Pairs& files, const std::vector<IncarnationClaim>& claims) {
  Pairs counting;
  for (const CheckpointFile& file : CountingFiles(Files(files), claims)) {
    counting.emplace_back(file.cut, file.incarnation.value());
  }
  return counting;
}
IncarnationClaim Claims(std::int64_t incarnation, std::optional<std::int64_t> after) {
  return {.incarnation = Incarnation(incarnation), .after = after};
}

TEST(CheckpointListing, WithoutClaimsEveryCutCountsOfItsNewestIncarnation) {
  EXPECT_THAT(Counting({{3, 7}, {1, 7}, {2, 7}, {2, 9}}, {}),
              ElementsAre(std::pair(1, 7), std::pair(2, 9), std::pair(3, 7)));
}

TEST(CheckpointListing, AClaimHidesWhatOlderIncarnationsWroteBeyondItsCut) {
  const Pairs files{{1, 5}, {2, 5}, {3, 5}, {2, 8}, {3, 8}, {4, 5}};
  EXPECT_THAT(Counting(files, {Claims(8, 1)}),
              ElementsAre(std::pair(1, 5), std::pair(2, 8), std::pair(3, 8)));
  EXPECT_THAT(Counting(files, {Claims(8, 1), Claims(9, 2)}),
              ElementsAre(std::pair(1, 5), std::pair(2, 8)));
  EXPECT_THAT(Counting(files, {Claims(9, 0)}), IsEmpty());
}

TEST(CheckpointListing, AClaimThatHasNotDecidedHidesNothing) {
  EXPECT_THAT(Counting({{1, 5}, {2, 5}}, {Claims(9, std::nullopt)}),
              ElementsAre(std::pair(1, 5), std::pair(2, 5)));
}

TEST(CheckpointListing, AClaimIsSpentWhenANewerOneHidesAsMuch) {
  const auto spent = [](const std::vector<IncarnationClaim>& claims) {
    std::vector<std::int64_t> numbers;
    for (const IncarnationClaim& claim : SpentClaims(claims)) {
      numbers.push_back(claim.incarnation.value());
    }
    return numbers;
  };
  EXPECT_THAT(spent({Claims(1, 0), Claims(2, 3), Claims(3, 3)}), ElementsAre(2));
  EXPECT_THAT(spent({Claims(1, 5), Claims(2, 3)}), ElementsAre(1));
  EXPECT_THAT(spent({Claims(1, std::nullopt), Claims(2, 3), Claims(3, std::nullopt)}),
              ElementsAre(1));
}

class ClaimFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elephas-listing-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string folder_;
};

TEST_F(ClaimFileTest, AClaimIsMadeOnceAndReadBack) {
  IncarnationClaim claim = Claims(42, 3);
  claim.run = "uid-0";
  claim.run_cut = 2;
  EXPECT_TRUE(WriteClaim(folder_, 1, 2, claim).value());
  EXPECT_FALSE(WriteClaim(folder_, 1, 2, Claims(42, 9)).value());
  EXPECT_THAT(ListShard(folder_, 0, 2).claims, IsEmpty());
  const std::vector<IncarnationClaim> read = ListShard(folder_, 1, 2).claims;
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].incarnation, claim.incarnation);
  EXPECT_EQ(read[0].after, claim.after);
  EXPECT_EQ(read[0].run, claim.run);
  EXPECT_EQ(read[0].run_cut, claim.run_cut);
  EXPECT_FALSE(read[0].host.empty());
}

TEST_F(ClaimFileTest, AClaimWithoutContentStillFences) {
  std::ofstream(folder_ + "/incarnation-42-shard-0-of-1.json") << "{\"after\": ";
  const std::vector<IncarnationClaim> read = ListShard(folder_, 0, 1).claims;
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].incarnation, Incarnation(42));
  EXPECT_EQ(read[0].after, std::nullopt);
}

TEST_F(ClaimFileTest, OtherNamesAreNoCheckpoints) {
  for (const char* name :
       {"checkpoint-1-incarnation-2-shard-0-of-1.safetensors.bak",
        "checkpoint-1-incarnation--2-shard-0-of-1.safetensors",
        "checkpoint-1-incarnation-99999999999999999999-shard-0-of-1.safetensors",
        "incarnation-x-shard-0-of-1.json", "checkpoint-1-shard-0-of-1.safetensors"}) {
    std::ofstream(folder_ + "/" + name) << "text";
  }
  EXPECT_THAT(ListShard(folder_, 0, 1).files, IsEmpty());
  EXPECT_THAT(ListShard(folder_, 0, 1).claims, IsEmpty());
  EXPECT_EQ(ListFlat(folder_, 0, 1).size(), 1U);
}

}  // namespace
}  // namespace elephas
