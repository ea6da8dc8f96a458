#include "paramserver/ledger/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "paramserver/ledger/history.h"
#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Verdict = Ledger::Verdict;

TEST(LedgerTest, AnUpdateIsAppliedWhereTheTaskStandsAndOnlyOnce) {
  const JobPlan plan = MakePlan().BatchSize(1);  // 4 batches in partition 0
  Ledger ledger(plan);
  EXPECT_EQ(ledger.Check(Train(0, 0), {0, 2}), Verdict::kApply);
  Apply(ledger, plan, Train(0, 0), {0, 2});
  EXPECT_EQ(ledger.Next(Train(0, 0)), 2);

  struct Row {
    Range batches;
    Verdict verdict = Verdict::kApply;
  };
  for (const Row& row : {Row{{0, 2}, Verdict::kDuplicate}, Row{{0, 1}, Verdict::kDuplicate},
                         Row{{1, 2}, Verdict::kDuplicate}, Row{{1, 3}, Verdict::kConflict},
                         Row{{0, 4}, Verdict::kConflict}, Row{{3, 4}, Verdict::kConflict},
                         Row{{2, 3}, Verdict::kApply}, Row{{2, 4}, Verdict::kApply},
                         Row{{2, 2}, Verdict::kConflict}, Row{{2, 5}, Verdict::kConflict},
                         Row{{-1, 1}, Verdict::kConflict}, Row{{3, 2}, Verdict::kConflict}}) {
    EXPECT_EQ(ledger.Check(Train(0, 0), row.batches), row.verdict)
        << "[" << row.batches.first << ", " << row.batches.last << ")";
  }
}

TEST(LedgerTest, TasksDoNotTouchEachOther) {
  const JobPlan plan = MakePlan();
  Ledger ledger(plan);
  ApplyAll(ledger, plan, Train(0, 1));
  EXPECT_TRUE(ledger.Done(Train(0, 1)));
  EXPECT_EQ(ledger.Next(Train(0, 0)), 0);
  EXPECT_EQ(ledger.Next(Train(1, 1)), 0);
  EXPECT_EQ(ledger.ExamplesApplied(), 3);
}

TEST(LedgerTest, APartitionWithoutRowsIsDoneFromTheStart) {
  const JobPlan plan = MakePlan().Rows(2);
  Ledger ledger(plan);
  EXPECT_TRUE(ledger.Done(Train(0, 2)));
  ApplyAll(ledger, plan, Train(0, 0));
  ApplyAll(ledger, plan, Train(0, 1));
  EXPECT_EQ(ledger.TrainedEpochs(), 1);
}

TEST(LedgerTest, ValidateRefusesWhatRecordCouldNotTake) {
  const JobPlan plan = MakePlan();
  Ledger ledger(plan);
  EXPECT_TRUE(ledger.Validate(Train(0, 0), {0, 2}, 4, Losses(4)).ok());
  EXPECT_THAT(ledger.Validate(Train(0, 0), {0, 2}, 5, Losses(5)).message(),
              HasSubstr("'examples' is 5, but batches 0 to 2 of train epoch 0 partition 0 hold 4"));
  EXPECT_THAT(ledger.Validate(Train(0, 0), {0, 2}, 4, {}).message(),
              HasSubstr("metrics must have 1 entries, not 0"));
  EXPECT_THAT(ledger.Validate(Train(0, 0), {0, 2}, 4, Losses(4, 2)).message(),
              HasSubstr("metrics must have 1 entries, not 2"));

  Apply(ledger, plan, Train(0, 0), {0, 1});
  const MetricSums other{{"loss", {"mean", {1, 2, 3}}}};
  EXPECT_THAT(ledger.Validate(Train(0, 0), {1, 2}, 2, {other}).message(),
              HasSubstr("metric 'loss' changed its kind or length"));
}

TEST(LedgerTest, ForFitEveryEpochHasItsOwnMetrics) {
  const JobPlan plan = MakePlan().In(Mode::kSynchronous).Every(Frequency::kFit).Epochs(3);
  Ledger ledger(plan);
  EXPECT_FALSE(ledger.Validate(Train(0, 0), {0, 6}, 12, Losses(12)).ok());
  for (std::int64_t p = 0; p < 3; ++p) {
    const std::int64_t examples = plan.Examples(Train(0, p), {0, plan.Batches(Train(0, p))});
    std::vector<MetricSums> metrics = Losses(examples, 3);
    for (std::size_t epoch = 0; epoch < 3; ++epoch) {
      metrics[epoch]["loss"].values[0] *= static_cast<double>(3 - epoch);
    }
    ASSERT_TRUE(ledger.Validate(Train(0, p), {0, 6}, examples, metrics).ok());
    ledger.Record(Train(0, p), {0, 6}, examples, metrics);
  }
  EXPECT_EQ(ledger.CloseEpochs(6.0), 1);
  EXPECT_EQ(ledger.ClosedEpochs(), 3);
  const json history = HistoryLists(ledger.history());
  EXPECT_EQ(history.at("examples"), json({10, 10, 10}));
  EXPECT_EQ(history.at("loss"), json({3.0, 2.0, 1.0}));
  EXPECT_EQ(history.at("seconds"), json({2.0, 2.0, 2.0}));
  EXPECT_TRUE(ledger.AllDone());
}

TEST(LedgerTest, AnEpochClosesWhenAllItsPartitionsAreDone) {
  const JobPlan plan = MakePlan();
  Ledger ledger(plan);
  ApplyAll(ledger, plan, Train(0, 2));
  ApplyAll(ledger, plan, Train(0, 0));
  Apply(ledger, plan, Train(0, 1), {0, 1});
  EXPECT_EQ(ledger.CloseEpochs(1), 0);
  EXPECT_EQ(ledger.Running(Epoch(0)).examples, 9);
  Apply(ledger, plan, Train(0, 1), {1, 2});
  EXPECT_EQ(ledger.CloseEpochs(1.5), 1);
  EXPECT_EQ(ledger.OpenEpoch(), Epoch(1));
  ASSERT_EQ(ledger.history().size(), 1U);
  EXPECT_EQ(ledger.history()[0].examples, 10);
  EXPECT_EQ(ledger.history()[0].seconds, 1.5);
  EXPECT_FALSE(ledger.AllDone());
}

TEST(LedgerTest, OverlappingEpochsCloseInOrder) {
  const JobPlan plan = MakePlan();
  Ledger ledger(plan);
  for (const std::int64_t p : {0, 1}) {
    ApplyAll(ledger, plan, Train(0, p));
    ApplyAll(ledger, plan, Train(1, p));
  }
  EXPECT_EQ(ledger.TrainedEpochs(), 0);
  EXPECT_EQ(ledger.CloseEpochs(1), 0);
  EXPECT_EQ(ledger.Running(Epoch(1)).examples, 7);
  ApplyAll(ledger, plan, Train(1, 2));
  EXPECT_EQ(ledger.CloseEpochs(1), 0);  // epoch 0 is not done yet
  ApplyAll(ledger, plan, Train(0, 2));
  EXPECT_EQ(ledger.TrainedEpochs(), 2);
  EXPECT_EQ(ledger.CloseEpochs(1), 2);
  EXPECT_EQ(HistoryLists(ledger.history()).at("examples"), json({10, 10}));
  EXPECT_TRUE(ledger.AllDone());
}

TEST(LedgerTest, ARepeatForAClosedEpochIsStillADuplicate) {
  const JobPlan plan = MakePlan();
  Ledger ledger(plan);
  for (std::int64_t p = 0; p < 3; ++p) ApplyAll(ledger, plan, Train(0, p));
  ASSERT_EQ(ledger.CloseEpochs(1), 1);
  EXPECT_EQ(ledger.Check(Train(0, 1), {0, 2}), Verdict::kDuplicate);
  EXPECT_EQ(ledger.Check(Train(0, 1), {1, 2}), Verdict::kDuplicate);
}

TEST(LedgerTest, AnEpochThatIsValidatedClosesAfterwards) {
  const JobPlan plan = MakePlan().Rows(10, 4);
  Ledger ledger(plan);
  for (std::int64_t p = 0; p < 3; ++p) ApplyAll(ledger, plan, Train(0, p));
  EXPECT_EQ(ledger.TrainedEpochs(), 1);
  EXPECT_EQ(ledger.CloseEpochs(1), 0);
  for (std::int64_t p = 0; p < 3; ++p) ApplyAll(ledger, plan, Validate(0, p));
  EXPECT_EQ(ledger.CloseEpochs(1), 1);
  const json history = HistoryLists(ledger.history());
  EXPECT_EQ(history.at("val_loss"), json({1.0}));
  EXPECT_EQ(history.at("examples"), json({10}));
  EXPECT_EQ(ledger.ExamplesApplied(), 10) << "validation is not progress";
}

TEST(LedgerTest, MetricSumsDoNotDependOnTheOrderOfArrival) {
  const JobPlan plan = MakePlan().Epochs(1);
  const auto run = [&](const std::vector<std::int64_t>& order) {
    Ledger ledger(plan);
    for (const std::int64_t p : order) {
      const std::int64_t examples = plan.Examples(Train(0, p), {0, 2});
      const double loss = 0.1 + 0.7 * static_cast<double>(p) * 1e10;
      ledger.Record(Train(0, p), {0, 2}, examples, {{{"loss", {"mean", {loss, 3}}}}});
    }
    ledger.CloseEpochs(0);
    return ledger.history()[0].training.at("loss").values;
  };
  EXPECT_EQ(run({0, 1, 2}), run({2, 1, 0}));
  EXPECT_EQ(run({0, 1, 2}), run({1, 2, 0}));
}

TEST(LedgerTest, EvaluationIsDoneWithItsPartitionsAndTotalsThem) {
  const JobPlan plan = MakePlan().Task(TaskKind::kEvaluate).Epochs(0);
  Ledger ledger(plan);
  const auto task = [](std::int64_t p) {
    return TaskId{WorkKind::kEvaluate, Epoch(0), Partition(p)};
  };
  for (std::int64_t p = 0; p < 3; ++p) {
    EXPECT_FALSE(ledger.AllDone());
    ledger.Record(task(p), {0, 2}, plan.Rows(task(p)).size(),
                  {{{"loss", {"mean", {static_cast<double>(p), 2}}}}});
  }
  EXPECT_TRUE(ledger.AllDone());
  EXPECT_EQ(ledger.Totals().value().at("loss").values, (std::vector<double>{3, 6}));
  EXPECT_FALSE(ledger.Done(Finalize()));
  ledger.Record(Finalize(), {0, 1}, 0, {});
  EXPECT_TRUE(ledger.Done(Finalize()));
}

// ---------------------------------------------------------------- JSON

Ledger InTheMiddle(const JobPlan& plan) {
  Ledger ledger(plan);
  for (std::int64_t p = 0; p < 3; ++p) ApplyAll(ledger, plan, Train(0, p));
  ledger.CloseEpochs(2.5);
  ApplyAll(ledger, plan, Train(1, 2));
  Apply(ledger, plan, Train(1, 0), {0, 1});
  return ledger;
}

TEST(LedgerJsonTest, ARestoredLedgerGoesOnWhereItWas) {
  const JobPlan plan = MakePlan().Epochs(3);
  const Ledger before = InTheMiddle(plan);
  const Result<Ledger> after = Ledger::FromJson(plan, json::parse(before.ToJson().dump()));
  ASSERT_TRUE(after.ok()) << after.status().message();
  EXPECT_EQ(after->ToJson(), before.ToJson());
  EXPECT_EQ(after->Next(Train(1, 0)), 1);
  EXPECT_EQ(after->Check(Train(1, 0), {0, 1}), Verdict::kDuplicate);
  EXPECT_EQ(after->Check(Train(0, 1), {0, 2}), Verdict::kDuplicate);
  EXPECT_TRUE(after->Done(Train(1, 2)));
  EXPECT_EQ(after->ExamplesApplied(), before.ExamplesApplied());
  EXPECT_EQ(HistoryLists(after->history()), HistoryLists(before.history()));
}

TEST(LedgerJsonTest, AJobMayHaveMoreEpochsThanItsCheckpointButNotFewer) {
  const json written = InTheMiddle(MakePlan().Epochs(3)).ToJson();
  EXPECT_TRUE(Ledger::FromJson(MakePlan().Epochs(9), written).ok());
  EXPECT_FALSE(Ledger::FromJson(MakePlan().Epochs(1), written).ok());
}

TEST(LedgerJsonTest, FinalizeIsDoneAgainAfterARestart) {
  const JobPlan plan = MakePlan().Epochs(1);
  Ledger ledger(plan);
  for (std::int64_t p = 0; p < 3; ++p) ApplyAll(ledger, plan, Train(0, p));
  ledger.CloseEpochs(1);
  ledger.Record(Finalize(), {0, 1}, 0, {});
  const Ledger after = Ledger::FromJson(plan, ledger.ToJson()).value();
  EXPECT_TRUE(after.AllDone());
  EXPECT_FALSE(after.Done(Finalize()));
}

struct Damage {
  std::string name, path;
  json value;
};
void PrintTo(const Damage& one, std::ostream* out) { *out << one.name; }

class LedgerDamageTest : public testing::TestWithParam<Damage> {};

INSTANTIATE_TEST_SUITE_P(
    , LedgerDamageTest,
    testing::Values(Damage{"MoreBatchesThanThereAre", "/open/0/training/0/next", 3},
                    Damage{"NegativeBatches", "/open/0/training/0/next", -1},
                    Damage{"NegativeExamples", "/open/0/training/0/examples", -1},
                    Damage{"AnEpochThatIsClosed", "/open/0/epoch", 0},
                    Damage{"AnEpochBeyondTheEnd", "/open/0/epoch", 3},
                    Damage{"TooManyClosed", "/closedTasks", 4},
                    Damage{"AClosedEpochWithoutHistory", "/history", json::array()},
                    Damage{"MissingPartitions", "/open/0/training", json::array()},
                    Damage{"PartitionsThatAreNoArray", "/open/0/validation", 3},
                    Damage{"OpenThatIsNoArray", "/open", 3},
                    Damage{"ProgressThatIsNoObject", "/open/0/training/0", 3},
                    Damage{"MetricsThatAreNoArray", "/open/0/training/0/metrics", 3},
                    Damage{"MetricsThatAreBroken", "/open/0/training/0/metrics/0/loss/values", "x"},
                    Damage{"EvaluationInATrainJob",
                           "/once",
                           {{{"next", 0}, {"examples", 0}, {"metrics", json::array()}}}},
                    Damage{"AnUnknownField", "/extra", 1}),
    [](const auto& each) { return each.param.name; });

TEST_P(LedgerDamageTest, IsRefused) {
  const JobPlan plan = MakePlan().Epochs(3);
  json written = InTheMiddle(plan).ToJson();
  ASSERT_TRUE(Ledger::FromJson(plan, written).ok());
  written[json::json_pointer(GetParam().path)] = GetParam().value;
  EXPECT_EQ(Ledger::FromJson(plan, written).status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace elephas
