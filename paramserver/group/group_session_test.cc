#include "paramserver/group/group_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

using testing::HasSubstr;

// One worker trains alone in generation 1; one partition of 4 rows in batches of 2.
class GroupSessionTest : public testing::Test {
 protected:
  void SetUp() override {
    Group& group = session_.group();
    group.Join("w", now_);
    group.Offer("w", "nccl", "", now_);
    group.Tick(now_, true);
    ASSERT_TRUE(group.Enter("w", Generation(0), now_).ok());
    group.Tick(now_, true);
    generation_ = group.generation();
    ASSERT_TRUE(group.SetId("w", generation_, "id", now_).ok());
    ASSERT_TRUE(group.Enter("w", generation_, now_).ok());
    group.Tick(now_, true);
    ASSERT_EQ(group.state(), Group::State::kTraining);
  }
  static Group::Options Alone() {
    Group::Options options;
    options.allowed = true;
    return options;
  }
  [[nodiscard]] GroupCommitHeader Header(std::int64_t base, std::int64_t target) const {
    return {Incarnation(1), generation_, "w", Version(base), Version(target)};
  }

  JobPlan plan_ = MakePlan().In(Mode::kSynchronous).Every(Frequency::kBatch).Partitions(1).Rows(4);
  Ledger ledger_{plan_};
  BufferPool pool_;
  Clock::TimePoint now_;
  Generation generation_;
  GroupSession session_{Alone()};
};

TEST_F(GroupSessionTest, ACommitIsTakenOnceAndIsADuplicateFromThenOn) {
  EXPECT_EQ(session_.RoundsOf(), generation_);
  const auto commit = session_.Open(plan_, ledger_, Header(0, 1));
  ASSERT_TRUE(commit.ok()) << commit.status().message();
  EXPECT_FALSE(session_.TakeWhole());
  ASSERT_TRUE((*commit)->AddSteps("w", {{Partition(0), {0, 1}, 2, Losses(2)}}).ok());
  (*commit)->SetModel({Floats(pool_, {1}), {}, 1});
  const auto whole = session_.TakeWhole();
  ASSERT_TRUE(whole);
  EXPECT_FALSE(session_.TakeWhole());
  EXPECT_EQ(session_.Judge(Header(0, 1), Version(0), 0).value(), UpdateOutcome::kApplied);
  session_.Applied(*whole, now_);
  EXPECT_TRUE(session_.Last(generation_, Version(1)));
  EXPECT_EQ(session_.Judge(Header(0, 1), Version(1), 0).value(), UpdateOutcome::kDuplicate);
}

TEST_F(GroupSessionTest, RefusesAnotherBaseAnotherCommitAndRoundsBegunByRest) {
  EXPECT_THAT(session_.Judge(Header(3, 4), Version(0), 0).status().message(),
              HasSubstr("the server holds version 0"));
  EXPECT_THAT(session_.Judge(Header(0, 1), Version(0), 1).status().message(),
              HasSubstr("contributions by rest"));
  ASSERT_TRUE(session_.Open(plan_, ledger_, Header(0, 1)).ok());
  EXPECT_TRUE(session_.Open(plan_, ledger_, Header(0, 1)).ok());
  EXPECT_EQ(session_.Open(plan_, ledger_, Header(0, 2)).status().code(), Code::kConflict);
}

TEST_F(GroupSessionTest, ACommitGoesWithItsGeneration) {
  const auto commit = session_.Open(plan_, ledger_, Header(0, 1));
  ASSERT_TRUE(commit.ok());
  ASSERT_TRUE((*commit)->AddSteps("w", {{Partition(0), {0, 1}, 2, Losses(2)}}).ok());
  (*commit)->SetModel({Floats(pool_, {1}), {}, 1});
  session_.group().Abort("w", generation_, "broken", now_);
  EXPECT_FALSE(session_.TakeNews().empty());
  EXPECT_FALSE(session_.TakeWhole());
  EXPECT_EQ(session_.RoundsOf(), std::nullopt);
}

}  // namespace
}  // namespace elephas
