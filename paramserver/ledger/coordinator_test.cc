#include "paramserver/ledger/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/testing/fake_clock.h"
#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr seconds kLease{15};

// A small language: Joins("a"), Takes("a") == "train 0/2", Advance(16s), Pushes("train 0/2").
class CoordinatorTest : public testing::Test {
 protected:
  void Job(const JobPlan& plan) {
    plan_ = plan;
    ledger_ = Ledger(plan);
  }
  void Joins(const std::string& worker) { coordinator_.Join(worker, clock_.Now()); }
  void Advance(milliseconds time) { clock_.Advance(time); }
  bool Beats(const std::string& worker) {
    return coordinator_.Heartbeat(worker, clock_.Now()).ok();
  }
  // Which leases end now.
  std::vector<std::string> Expired() {
    std::vector<std::string> tasks;
    for (const Coordinator::Lost& lost : coordinator_.Expire(clock_.Now())) {
      tasks.push_back(lost.held.worker + " " + Short(lost.held.task));
    }
    return tasks;
  }
  static std::string Short(const TaskId& task) {
    std::string text(Word(task.kind));
    if (task.kind == WorkKind::kFinalize) return text;
    return text + " " + std::to_string(task.epoch.value()) + "/" +
           std::to_string(task.partition.value());
  }
  std::optional<Lease> LeaseFor(const std::string& worker, bool prefetch = false) {
    return coordinator_.Acquire(worker, clock_.Now(), prefetch, plan_, ledger_);
  }
  std::string Takes(const std::string& worker, bool prefetch = false) {
    const std::optional<Lease> lease = LeaseFor(worker, prefetch);
    if (!lease) return "nothing";
    held_[Short(lease->task)] = lease->id;
    return Short(lease->task);
  }
  std::string Prefetches(const std::string& worker) { return Takes(worker, true); }
  // The holder of the task pushes all that is left of it.
  void Finishes(const TaskId& task) {
    ApplyAll(ledger_, plan_, task);
    coordinator_.Progressed(held_[Short(task)], ledger_);
    ledger_.CloseEpochs(1);
  }
  void TrainsEpoch(std::int64_t epoch) {
    for (std::int64_t p = 0; p < plan_.partitions; ++p) Finishes(Train(epoch, p));
  }

  FakeClock clock_;
  JobPlan plan_ = MakePlan();
  Ledger ledger_{plan_};
  Coordinator coordinator_{kLease};
  std::map<std::string, LeaseId> held_;
};

std::vector<std::string> Names(const std::vector<OpenTask>& open) {
  std::vector<std::string> names;
  for (const OpenTask& one : open) {
    names.push_back(
        std::to_string(one.task.epoch.value()) + "/" + std::to_string(one.task.partition.value()) +
        " [" + std::to_string(one.batches.first) + "," + std::to_string(one.batches.last) + ")");
  }
  return names;
}

// ---------------------------------------------------------------- what is open

TEST(OpenTasksTest, AsynchronousOpensTheNextEpochPartitionByPartition) {
  const JobPlan plan = MakePlan();
  Ledger ledger(plan);
  EXPECT_THAT(Names(OpenTasks(plan, ledger)), ElementsAre("0/0 [0,2)", "0/1 [0,2)", "0/2 [0,2)"));
  ApplyAll(ledger, plan, Train(0, 1));
  Apply(ledger, plan, Train(0, 0), {0, 1});
  EXPECT_THAT(Names(OpenTasks(plan, ledger)), ElementsAre("0/0 [1,2)", "0/2 [0,2)", "1/1 [0,2)"));
}

TEST(OpenTasksTest, WithSeveralServersAnEpochEndsBeforeTheNextBegins) {
  const JobPlan plan = MakePlan().Servers(2);
  Ledger ledger(plan);
  ApplyAll(ledger, plan, Train(0, 1));
  EXPECT_THAT(Names(OpenTasks(plan, ledger)), ElementsAre("0/0 [0,2)", "0/2 [0,2)"));
}

TEST(OpenTasksTest, ValidationFollowsTheEpochItValidates) {
  const JobPlan plan = MakePlan().Rows(10, 2);  // partition 2 has nothing to validate
  Ledger ledger(plan);
  for (std::int64_t p = 0; p < 3; ++p) ApplyAll(ledger, plan, Train(0, p));
  std::vector<OpenTask> open = OpenTasks(plan, ledger);
  ASSERT_EQ(open.size(), 2U);
  EXPECT_EQ(open[0].task, Validate(0, 0));
  ApplyAll(ledger, plan, Validate(0, 0));
  ApplyAll(ledger, plan, Validate(0, 1));
  ASSERT_EQ(ledger.CloseEpochs(1), 1);
  EXPECT_THAT(Names(OpenTasks(plan, ledger)), ElementsAre("1/0 [0,2)", "1/1 [0,2)", "1/2 [0,2)"));
}

TEST(OpenTasksTest, ASynchronousBatchRoundOpensTheSameBatchOfEveryPartitionThatHasOne) {
  const JobPlan plan = MakePlan()
                           .In(Mode::kSynchronous)
                           .Every(Frequency::kBatch)
                           .Rows(7)  // 3, 2, 2 rows: 3, 2, 2 batches
                           .BatchSize(1);
  Ledger ledger(plan);
  EXPECT_THAT(Names(OpenTasks(plan, ledger)), ElementsAre("0/0 [0,1)", "0/1 [0,1)", "0/2 [0,1)"));
  Apply(ledger, plan, Train(0, 1), {0, 1});
  EXPECT_THAT(Names(OpenTasks(plan, ledger)), ElementsAre("0/0 [0,1)", "0/2 [0,1)"));
  Apply(ledger, plan, Train(0, 0), {0, 1});
  Apply(ledger, plan, Train(0, 2), {0, 1});
  for (std::int64_t p = 0; p < 3; ++p) Apply(ledger, plan, Train(0, p), {1, 2});
  EXPECT_THAT(Names(OpenTasks(plan, ledger)), ElementsAre("0/0 [2,3)"));
}

TEST(OpenTasksTest, SynchronousEpochOpensWholeTasks) {
  const JobPlan plan = MakePlan().In(Mode::kSynchronous);
  Ledger ledger(plan);
  ApplyAll(ledger, plan, Train(0, 0));
  EXPECT_THAT(Names(OpenTasks(plan, ledger)), ElementsAre("0/1 [0,2)", "0/2 [0,2)"));
}

TEST(OpenTasksTest, PartitionsWithoutRowsAreNeverOpen) {
  const JobPlan plan = MakePlan().Rows(2);
  EXPECT_THAT(Names(OpenTasks(plan, Ledger(plan))), ElementsAre("0/0 [0,1)", "0/1 [0,1)"));
}

TEST(OpenTasksTest, FinalizeComesLastAndOnce) {
  const JobPlan plan = MakePlan().Epochs(1);
  Ledger ledger(plan);
  for (std::int64_t p = 0; p < 3; ++p) ApplyAll(ledger, plan, Train(0, p));
  ledger.CloseEpochs(1);
  const std::vector<OpenTask> open = OpenTasks(plan, ledger);
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].task, Finalize());
  ledger.Record(Finalize(), {0, 1}, 0, {});
  EXPECT_THAT(OpenTasks(plan, ledger), IsEmpty());
}

// ---------------------------------------------------------------- leases

TEST_F(CoordinatorTest, NoTaskIsLeasedTwice) {
  for (const char* worker : {"a", "b", "c", "d"}) Joins(worker);
  EXPECT_EQ(Takes("a"), "train 0/0");
  EXPECT_EQ(Takes("b"), "train 0/1");
  EXPECT_EQ(Takes("c"), "train 0/2");
  EXPECT_EQ(Takes("d"), "nothing");
}

TEST_F(CoordinatorTest, ALeaseSaysWhatIsLeftAndGrowsInNumber) {
  Joins("a");
  const std::optional<Lease> first = LeaseFor("a");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->batches, (Range{0, 2}));
  EXPECT_EQ(first->rows, (Range{0, 4}));
  EXPECT_EQ(first->expires_in_seconds, 15.0);
  Apply(ledger_, plan_, Train(0, 0), {0, 1});
  Advance(kLease);
  EXPECT_THAT(Expired(), ElementsAre("a train 0/0"));
  const std::optional<Lease> second = LeaseFor("a");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->task, first->task);
  EXPECT_EQ(second->batches, (Range{1, 2}));
  EXPECT_GT(second->id, first->id);
  EXPECT_EQ(coordinator_.Find(first->id), nullptr);
}

TEST_F(CoordinatorTest, ALeaseEndsAtItsTimeAndNotBefore) {
  Joins("a");
  Takes("a");
  EXPECT_EQ(coordinator_.NextExpiry(), clock_.Now() + kLease);
  Advance(kLease - milliseconds(1));
  EXPECT_THAT(Expired(), IsEmpty());
  Advance(milliseconds(1));
  EXPECT_THAT(Expired(), ElementsAre("a train 0/0"));
  EXPECT_EQ(coordinator_.NextExpiry(), std::nullopt);
  EXPECT_THAT(Expired(), IsEmpty());
}

TEST_F(CoordinatorTest, HeartbeatsRenewAllLeasesOfAWorkerAndPushesTheirOwn) {
  Joins("a");
  Joins("b");
  Takes("a");
  Takes("b");
  Advance(seconds(10));
  EXPECT_TRUE(Beats("a"));
  Advance(seconds(10));
  EXPECT_THAT(Expired(), ElementsAre("b train 0/1"));
  coordinator_.Renew(held_["train 0/0"], clock_.Now());
  coordinator_.Renew(LeaseId(99), clock_.Now());  // lost long ago: no harm
  Advance(seconds(14));
  EXPECT_THAT(Expired(), IsEmpty());
}

TEST_F(CoordinatorTest, AWorkerThatIsSilentForTwoDurationsIsGivenUp) {
  Joins("a");
  Advance(2 * kLease - milliseconds(1));
  Expired();
  EXPECT_TRUE(coordinator_.workers().at("a").live);
  Advance(milliseconds(1));
  Expired();
  EXPECT_FALSE(coordinator_.workers().at("a").live);
  EXPECT_EQ(coordinator_.Heartbeat("a", clock_.Now()).code(), Code::kNotFound);
  Joins("a");
  EXPECT_TRUE(Beats("a"));
}

TEST_F(CoordinatorTest, AWorkerThatNeverJoinedIsNotFound) {
  EXPECT_EQ(coordinator_.Heartbeat("x", clock_.Now()).code(), Code::kNotFound);
}

TEST_F(CoordinatorTest, ASecondJoinVoidsTheLeasesOfTheFirst) {
  Joins("a");
  Joins("b");
  Takes("a");
  EXPECT_EQ(coordinator_.Join("a", clock_.Now()), 1);
  EXPECT_EQ(coordinator_.Find(held_["train 0/0"]), nullptr);
  EXPECT_EQ(coordinator_.Join("a", clock_.Now()), 0);
}

TEST_F(CoordinatorTest, LeavingGivesLeasesBackAtOnce) {
  Joins("a");
  Joins("b");
  EXPECT_EQ(Takes("a"), "train 0/0");
  EXPECT_EQ(coordinator_.Leave("a"), 1);
  EXPECT_FALSE(Beats("a"));
  EXPECT_EQ(Takes("b"), "train 0/0");
  EXPECT_EQ(coordinator_.Leave("stranger"), 0);
}

TEST_F(CoordinatorTest, AFinishedTaskLeavesTheLeasesAndAHalfFinishedOneStays) {
  Joins("a");
  Takes("a");
  const LeaseId lease = held_["train 0/0"];
  Apply(ledger_, plan_, Train(0, 0), {0, 1});
  coordinator_.Progressed(lease, ledger_);
  EXPECT_NE(coordinator_.Find(lease), nullptr);
  Apply(ledger_, plan_, Train(0, 0), {1, 2});
  coordinator_.Progressed(lease, ledger_);
  EXPECT_EQ(coordinator_.Find(lease), nullptr);
}

TEST_F(CoordinatorTest, ANewIncarnationForgetsEverybodyButNumbersGrowOn) {
  Joins("a");
  const LeaseId before = LeaseFor("a")->id;
  coordinator_.Reset();
  EXPECT_FALSE(Beats("a"));
  EXPECT_THAT(coordinator_.leases(), IsEmpty());
  Joins("a");
  EXPECT_GT(LeaseFor("a")->id, before);
}

TEST_F(CoordinatorTest, ExamplesAreCountedPerWorker) {
  Joins("a");
  coordinator_.CountExamples("a", 3);
  coordinator_.CountExamples("a", 4);
  coordinator_.CountExamples("stranger", 4);
  EXPECT_EQ(coordinator_.workers().at("a").examples, 7);
  EXPECT_EQ(coordinator_.workers().size(), 1U);
}

// ---------------------------------------------------------------- who gets what

TEST_F(CoordinatorTest, AWorkerKeepsItsPartitionsFromEpochToEpoch) {
  Joins("a");
  Joins("b");
  EXPECT_EQ(Takes("a"), "train 0/0");
  EXPECT_EQ(Takes("b"), "train 0/1");
  Finishes(Train(0, 0));
  EXPECT_EQ(Takes("a"), "train 0/2");
  Finishes(Train(0, 1));
  Finishes(Train(0, 2));
  EXPECT_EQ(Takes("b"), "train 1/1");
  EXPECT_EQ(Takes("a"), "train 1/0");
}

TEST_F(CoordinatorTest, PartitionsOfTheDeadComeBeforeThoseOfTheLiving) {
  Joins("a");
  Joins("b");
  Joins("c");
  Takes("a");  // 0
  Takes("b");  // 1
  Takes("c");  // 2
  TrainsEpoch(0);
  Advance(2 * kLease);
  Beats("a");
  Beats("c");
  Expired();
  EXPECT_EQ(Takes("c"), "train 1/2");
  Finishes(Train(1, 2));
  EXPECT_EQ(Takes("c"), "train 1/1");
}

TEST_F(CoordinatorTest, AnIdleWorkerStealsFromTheEnd) {
  Job(MakePlan().Partitions(4).Rows(8));
  Joins("a");
  for (std::int64_t p = 0; p < 4; ++p) {
    Takes("a");
    Finishes(Train(0, p));
  }
  Joins("b");
  EXPECT_EQ(Takes("b"), "train 1/3");
  EXPECT_EQ(Takes("a"), "train 1/0");
}

TEST_F(CoordinatorTest, AStolenTaskIsOfTheOpenEpochBeforeTheNext) {
  Job(MakePlan().Partitions(2).Rows(8).Epochs(3));
  Joins("a");
  Takes("a");
  Finishes(Train(0, 0));
  Takes("a");
  Finishes(Train(0, 1));
  Takes("a");
  Finishes(Train(1, 0));
  Joins("b");
  // Open: 1/1 and, ahead, 2/0; both partitions are a's.
  EXPECT_EQ(Takes("b"), "train 1/1");
  Finishes(Train(1, 1));
  EXPECT_EQ(Takes("b"), "train 2/1") << "it is b's partition now";
}

TEST_F(CoordinatorTest, PrefetchTakesOnlyWhatIdleWorkersWouldLeaveOver) {
  Joins("a");
  Joins("b");
  EXPECT_EQ(Takes("a"), "train 0/0");
  EXPECT_EQ(Prefetches("a"), "train 0/1");  // two open, b would take one
  EXPECT_EQ(Takes("b"), "train 0/2");
}

TEST_F(CoordinatorTest, PrefetchGetsNothingWhileTheLastTasksAreWantedByOthers) {
  Joins("a");
  Joins("b");
  Joins("c");
  EXPECT_EQ(Takes("a"), "train 0/0");
  EXPECT_EQ(Prefetches("a"), "nothing");  // b and c would take the two that are open
  Takes("b");
  Takes("c");
  EXPECT_EQ(Prefetches("a"), "nothing");  // nothing is open
}

TEST_F(CoordinatorTest, WorkersThatAreGivenUpDoNotHoldPrefetchBack) {
  Joins("a");
  Joins("b");
  Joins("c");
  Advance(2 * kLease);
  Beats("a");
  Expired();
  EXPECT_EQ(Takes("a"), "train 0/0");
  EXPECT_EQ(Prefetches("a"), "train 0/1");
}

// ---------------------------------------------------------------- leases nobody knows of

// A grant whose reply was lost: the worker's own heartbeats would have kept the task from everybody
// for ever, and the epoch would never have ended.
TEST_F(CoordinatorTest, AGrantThatWasNeverHeardOfIsGivenAgain) {
  Joins("a");
  const std::optional<Lease> lost = LeaseFor("a");
  Advance(seconds(10));
  const std::optional<Lease> again = LeaseFor("a");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id, lost->id);
  EXPECT_EQ(again->task, lost->task);
  EXPECT_EQ(coordinator_.leases().size(), 1U);
  EXPECT_EQ(coordinator_.NextExpiry(), clock_.Now() + kLease);
}

TEST_F(CoordinatorTest, APrefetchThatWasNeverHeardOfIsGivenAgain) {
  Joins("a");
  EXPECT_EQ(Takes("a"), "train 0/0");
  EXPECT_EQ(Prefetches("a"), "train 0/1");
  EXPECT_EQ(Prefetches("a"), "train 0/1");
  Finishes(Train(0, 0));
  EXPECT_EQ(Prefetches("a"), "train 0/2") << "0/1 is begun now";
}

// The work of a lease was pushed by its former holder, and its present one is told "duplicate"
// before it has sent anything: in synchronous batch mode the partition's next round was then never
// leased.
TEST_F(CoordinatorTest, ALeaseOnWhatIsDoneDoesNotKeepTheNextRoundFromAnybody) {
  Job(MakePlan().In(Mode::kSynchronous).Every(Frequency::kBatch).Partitions(1).Rows(4));
  Joins("a");
  Joins("b");
  EXPECT_EQ(Takes("a"), "train 0/0");
  Apply(ledger_, plan_, Train(0, 0), {0, 1});
  const std::optional<Lease> next = LeaseFor("b");
  ASSERT_TRUE(next);
  EXPECT_EQ(next->batches, (Range{1, 2}));
}

}  // namespace
}  // namespace elephas
