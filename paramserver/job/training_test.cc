#include "paramserver/job/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paramserver/testing/job_service_fixture.h"

namespace elephas {
namespace {

using testing::HasSubstr;

// The job of JobServiceTest without its service.
class TrainingTest : public JobServiceTest {
 protected:
  Training::Setting Setting(std::int64_t max_parameters = 100) {
    return {spec_, 0, max_parameters, pool_};
  }
  Training Begun() {
    Training training = Training::Begin(Setting(), Layout()).value();
    EXPECT_TRUE(training.Initialise(Buffer({1, 2, 3}), {}, 0).ok());
    return training;
  }
  static void Record(Training& training, const UpdateHeader& header) {
    training.ledger.Record(header.task, header.batches, header.examples, header.metrics);
  }
};

TEST_F(TrainingTest, RefusesAModelThatIsTooLarge) {
  EXPECT_THAT(Training::Begin(Setting(2), Layout()).status().message(),
              HasSubstr("this server takes 2"));
}

TEST_F(TrainingTest, SaysWhatItExpects) {
  const Training training = Begun();
  EXPECT_EQ(training.Expects().parameters, (Range{0, 3}));
  EXPECT_EQ(training.Expects().slots, (Range{0, 2}));
  EXPECT_TRUE(training.CheckSizes(*Buffer({1, 2, 3}), {}).ok());
  EXPECT_THAT(training.CheckSizes(*Buffer({1}), {}).message(), HasSubstr("3 elements"));
  EXPECT_THAT(training.CheckSizes(*Buffer({1, 2, 3}), {Buffer({1, 2})}).message(),
              HasSubstr("0 rows"));
}

TEST_F(TrainingTest, TheNextUpdateIsAppliedARepeatIsADuplicateAGapAConflict) {
  Training training = Begun();
  const UpdateHeader first = Header(0, 0, {0, 1});
  EXPECT_EQ(training.Judge(first, std::nullopt).value(), UpdateOutcome::kApplied);
  EXPECT_EQ(training.Judge(Header(0, 0, {1, 2}), std::nullopt).status().code(), Code::kConflict);
  Record(training, first);
  EXPECT_EQ(training.Judge(first, std::nullopt).value(), UpdateOutcome::kDuplicate);
  EXPECT_EQ(training.Judge(Header(0, 0, {1, 9}), std::nullopt).status().code(), Code::kInvalid);
}

TEST_F(TrainingTest, AGroupThatTrainsTheRoundsKeepsOthersOut) {
  spec_.mode = Mode::kSynchronous;
  spec_.frequency = Frequency::kEpoch;
  Training training = Begun();
  EXPECT_TRUE(training.RoundsAreOpen());
  const UpdateHeader header = Header(0, 0, {0, 2});
  EXPECT_EQ(training.Judge(header, std::nullopt).value(), UpdateOutcome::kApplied);
  EXPECT_THAT(training.Judge(header, Generation(4)).status().message(),
              HasSubstr("generation 4 of the group"));
  training.contributions = 1;
  EXPECT_TRUE(training.NextRound());
  EXPECT_EQ(training.contributions, 0);
}

TEST_F(TrainingTest, GoesOnFromItsCheckpoint) {
  Training training = Begun();
  for (const std::int64_t partition : {0, 1}) Record(training, Header(0, partition, {0, 2}));
  training.CloseEpochs(clock_.Now());
  EXPECT_EQ(training.ledger.ClosedEpochs(), 1);
  EXPECT_DOUBLE_EQ(training.Progress(), 0.5);
  Checkpoint checkpoint = training.ToCheckpoint(1, training.store.parameters());
  Training::News news;
  auto again = Training::Continue(Setting(), checkpoint, news);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->ledger.ClosedEpochs(), 1);
  EXPECT_EQ(again->last_cut, 1);
  EXPECT_EQ(Values(*again->store.parameters()), (std::vector<float>{1, 2, 3}));
  checkpoint.parameters = Buffer({1, 2});
  EXPECT_THAT(Training::Continue(Setting(), checkpoint, news).status().message(),
              HasSubstr("has 2 parameters, not 3"));
}

}  // namespace
}  // namespace elephas
