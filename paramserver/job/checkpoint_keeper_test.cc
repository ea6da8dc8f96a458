#include "paramserver/job/checkpoint_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paramserver/job/training.h"
#include "paramserver/testing/job_service_fixture.h"

namespace elephas {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class CheckpointKeeperTest : public JobServiceTest {
 protected:
  CheckpointKeeper::Options Options(const std::string& folder) {
    return {.folder = folder, .uid = "uid-1", .policy = {"ckpt", 2, 2}};
  }
  Checkpoint Cut(std::int64_t cut, Incarnation incarnation) {
    spec_.fit.epochs = 9;
    Training training = Training::Begin({spec_, 0, 100, pool_}, Layout()).value();
    EXPECT_TRUE(training.Initialise(Buffer({1, 2, 3}), {}, 0).ok());
    Checkpoint checkpoint = training.ToCheckpoint(cut, training.store.parameters());
    checkpoint.uid = "uid-1";
    checkpoint.incarnation = incarnation;
    return checkpoint;
  }
  EventLog events_{clock_};
  int fenced_ = 0;
};

TEST_F(CheckpointKeeperTest, KeepsNothingWithoutAFolder) {
  CheckpointKeeper keeper(Options(""), clock_, events_, [] {});
  ASSERT_TRUE(keeper.Open().ok());
  EXPECT_FALSE(keeper.has_folder());
  EXPECT_FALSE(keeper.Due(2, 0, 2));
  EXPECT_EQ(keeper.Claim(Incarnation(5), 0).value(), Incarnation(5));
  EXPECT_EQ(keeper.Load(1, pool_).status().code(), Code::kNotFound);
  EXPECT_FALSE(keeper.Counters());
  EXPECT_TRUE(keeper.CheckFence().ok());
}

TEST_F(CheckpointKeeperTest, WritesWhatIsDueAndFindsItAgain) {
  Incarnation mine;
  {
    CheckpointKeeper keeper(Options(folder_.string()), clock_, events_, [] {});
    ASSERT_TRUE(keeper.Open().ok());
    EXPECT_FALSE(keeper.Due(1, 0, 9));
    EXPECT_TRUE(keeper.Due(2, 0, 9));
    EXPECT_FALSE(keeper.Due(3, 2, 9));
    EXPECT_TRUE(keeper.Due(9, 8, 9));
    mine = keeper.Claim(Incarnation(5), std::nullopt).value();
    for (const std::int64_t cut : {2, 4, 6}) {
      keeper.Submit(Cut(cut, mine));
      keeper.Drain();
    }
    EXPECT_THAT(keeper.Cuts(), ElementsAre(4, 6));
    EXPECT_EQ(keeper.Counters()->written, 3U);
    keeper.GiveUpAfter(4);
    EXPECT_THAT(keeper.Cuts(), ElementsAre(4));
  }
  CheckpointKeeper again(Options(folder_.string()), clock_, events_, [] {});
  ASSERT_TRUE(again.Open().ok());
  EXPECT_THAT(again.Cuts(), testing::Contains(4));
  EXPECT_EQ(again.Load(4, pool_)->cut, 4);
  EXPECT_FALSE(again.Load(5, pool_).ok());
}

TEST_F(CheckpointKeeperTest, IsFencedOnceByWhoTakesOver) {
  CheckpointKeeper keeper(Options(folder_.string()), clock_, events_, [this] { ++fenced_; });
  ASSERT_TRUE(keeper.Open().ok());
  ASSERT_TRUE(keeper.Claim(Incarnation(5), std::nullopt).ok());
  EXPECT_TRUE(keeper.CheckFence().ok());
  EXPECT_TRUE(keeper.DueLook(clock_.Now()));
  EXPECT_FALSE(keeper.DueLook(clock_.Now()));
  CheckpointKeeper other(Options(folder_.string()), clock_, events_, [] {});
  ASSERT_TRUE(other.Open().ok());
  ASSERT_TRUE(other.Claim(Incarnation(6), std::nullopt).ok());
  EXPECT_FALSE(keeper.CheckFence().ok());
  EXPECT_FALSE(keeper.CheckFence().ok());
  EXPECT_TRUE(keeper.fenced());
  EXPECT_TRUE(keeper.WhyFenced());
  EXPECT_EQ(fenced_, 1);
  EXPECT_THAT(keeper.warnings(), IsEmpty());
}

}  // namespace
}  // namespace elephas
