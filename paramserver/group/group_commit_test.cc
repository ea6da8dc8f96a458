#include "paramserver/group/group_commit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

using testing::HasSubstr;

GroupCommitHeader Header(std::int64_t base, std::int64_t target) {
  return {Incarnation(1), Generation(2), "w", Version(base), Version(target)};
}

GroupStep Step(std::int64_t partition, Range batches, std::int64_t examples) {
  return {Partition(partition), batches, examples, Losses(examples)};
}

// Partitions of 5, 5 and 4 rows in batches of 2: three, three and two batches.
class GroupCommitTest : public testing::Test {
 protected:
  GroupCommit Begin(std::int64_t base, std::int64_t target) {
    Result<GroupCommit> begun = GroupCommit::Begin(plan_, ledger_, Header(base, target));
    EXPECT_TRUE(begun.ok()) << begun.status().message();
    return *std::move(begun);
  }
  void Model(GroupCommit& commit) { commit.SetModel({Floats(pool_, {1}), {}, 1}); }

  JobPlan plan_ = MakePlan().In(Mode::kSynchronous).Every(Frequency::kBatch).Rows(14);
  Ledger ledger_{plan_};
  BufferPool pool_;
};

TEST_F(GroupCommitTest, IsCompleteWithAllStepsAndTheModelInAnyOrder) {
  GroupCommit commit = Begin(0, 2);
  EXPECT_FALSE(commit.complete());
  ASSERT_TRUE(commit.AddSteps("b", {Step(2, {0, 2}, 4)}).ok());
  Model(commit);
  EXPECT_FALSE(commit.complete());
  ASSERT_TRUE(commit.AddSteps("a", {Step(0, {0, 2}, 4), Step(1, {0, 2}, 4)}).ok());
  EXPECT_TRUE(commit.complete());
  EXPECT_EQ(commit.steps()[2].worker, "b");
}

TEST_F(GroupCommitTest, TheLastRoundsAreWithoutPartitionsThatAreDone) {
  GroupCommit commit = Begin(0, 3);
  ASSERT_TRUE(commit.AddSteps("a", {Step(0, {0, 3}, 5), Step(1, {0, 3}, 5)}).ok());
  EXPECT_THAT(commit.AddSteps("a", {Step(2, {0, 3}, 4)}).message(), HasSubstr("batches 0 to 2"));
  ASSERT_TRUE(commit.AddSteps("a", {Step(2, {0, 2}, 4)}).ok());
  Model(commit);
  EXPECT_TRUE(commit.complete());
}

TEST_F(GroupCommitTest, ARepeatChangesNothing) {
  GroupCommit commit = Begin(0, 1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(commit.AddSteps("a", {Step(0, {0, 1}, 2)}).ok());
  Model(commit);
  EXPECT_FALSE(commit.complete());
}

TEST_F(GroupCommitTest, NothingIsKeptOfStepsOfWhichOneIsWrong) {
  GroupCommit commit = Begin(0, 1);
  EXPECT_FALSE(commit.AddSteps("a", {Step(0, {0, 1}, 2), Step(1, {0, 1}, 3)}).ok());
  EXPECT_FALSE(commit.AddSteps("a", {Step(0, {0, 1}, 2), Step(7, {0, 1}, 2)}).ok());
  EXPECT_FALSE(commit.steps()[0].given);
}

TEST_F(GroupCommitTest, CannotGoBeyondTheEpoch) {
  const auto begun = GroupCommit::Begin(plan_, ledger_, Header(0, 4));
  EXPECT_THAT(begun.status().message(), HasSubstr("3 rounds are left of the epoch, not 4"));
}

TEST_F(GroupCommitTest, ContinuesWhereTheLedgerStands) {
  for (std::int64_t p = 0; p < 3; ++p) ledger_.Record(Train(0, p), {0, 2}, 4, Losses(4));
  GroupCommit commit = Begin(2, 3);
  // Partition 2 has no third batch.
  EXPECT_FALSE(commit.AddSteps("a", {Step(2, {2, 3}, 1)}).ok());
  ASSERT_TRUE(commit.AddSteps("a", {Step(0, {2, 3}, 1), Step(1, {2, 3}, 1)}).ok());
  Model(commit);
  EXPECT_TRUE(commit.complete());
}

TEST_F(GroupCommitTest, ByEpochItIsOneRoundOfWholeTasks) {
  plan_.frequency = Frequency::kEpoch;
  ledger_ = Ledger(plan_);
  EXPECT_FALSE(GroupCommit::Begin(plan_, ledger_, Header(0, 2)).ok());
  GroupCommit commit = Begin(0, 1);
  EXPECT_FALSE(commit.AddSteps("a", {Step(0, {0, 2}, 4)}).ok());
  ASSERT_TRUE(
      commit.AddSteps("a", {Step(0, {0, 3}, 5), Step(1, {0, 3}, 5), Step(2, {0, 2}, 4)}).ok());
  Model(commit);
  EXPECT_TRUE(commit.complete());
}

}  // namespace
}  // namespace elephas
