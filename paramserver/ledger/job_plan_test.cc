#include "paramserver/ledger/job_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

using testing::HasSubstr;

JobSpec TrainSpec() {
  JobSpec spec;
  spec.fit.epochs = 4;
  spec.fit.batch_size = 3;
  spec.data.partitions = 2;
  return spec;
}

TEST(JobPlanTest, TakesItsNumbersFromTheSpec) {
  JobSpec spec = TrainSpec();
  spec.fit.validation_split = 0.25;
  spec.parameter_servers.replicas = 2;
  const JobPlan plan = JobPlan::Make(spec, 20).value();
  EXPECT_EQ(plan.training_rows, 15);
  EXPECT_EQ(plan.validation_rows, 5);
  EXPECT_EQ(plan.servers, 2);
  EXPECT_TRUE(plan.validates());
  EXPECT_EQ(plan.TrainTasks(), 4);
}

TEST(JobPlanTest, ASplitThatLeavesNothingToTrainOnIsRefused) {
  JobSpec spec = TrainSpec();
  spec.fit.validation_split = 0.5;
  const Result<JobPlan> plan = JobPlan::Make(spec, 1);
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.status().message(), HasSubstr("spec.fit.validationSplit"));
}

TEST(JobPlanTest, EvaluateAndPredictTakeAllRowsOnceWhateverFitSays) {
  for (const TaskKind task : {TaskKind::kEvaluate, TaskKind::kPredict}) {
    JobSpec spec = TrainSpec();
    spec.task = task;
    spec.mode = Mode::kSynchronous;
    spec.frequency = Frequency::kFit;
    spec.fit.validation_split = 0.5;
    const JobPlan plan = JobPlan::Make(spec, 9).value();
    EXPECT_EQ(plan.TrainTasks(), 0);  // a division by zero once
    EXPECT_FALSE(plan.validates());
    const WorkKind kind = task == TaskKind::kEvaluate ? WorkKind::kEvaluate : WorkKind::kPredict;
    EXPECT_EQ(plan.Rows({kind, Epoch(0), Partition(1)}), (Range{5, 9}));
    EXPECT_EQ(plan.Batches({kind, Epoch(0), Partition(0)}), 2);
  }
}

TEST(JobPlanTest, ValidationRowsFollowTheTrainingRowsAndArePartitionedToo) {
  const JobPlan plan = MakePlan().Rows(10, 4);
  EXPECT_EQ(plan.Rows(Train(0, 2)), (Range{7, 10}));
  EXPECT_EQ(plan.Rows(Validate(0, 0)), (Range{10, 12}));
  EXPECT_EQ(plan.Rows(Validate(0, 2)), (Range{13, 14}));
}

TEST(JobPlanTest, TheLastBatchOfAPartitionHoldsWhatIsLeft) {
  const JobPlan plan = MakePlan();  // partitions of 4, 3, 3
  EXPECT_EQ(plan.Batches(Train(0, 0)), 2);
  EXPECT_EQ(plan.Examples(Train(0, 1), {0, 1}), 2);
  EXPECT_EQ(plan.Examples(Train(0, 1), {1, 2}), 1);
  EXPECT_EQ(plan.Examples(Train(0, 1), {0, 2}), 3);
}

TEST(JobPlanTest, APartitionWithoutRowsHasNoBatchesAndNoExamples) {
  const JobPlan plan = MakePlan().Rows(2);
  EXPECT_EQ(plan.Batches(Train(0, 2)), 0);
  EXPECT_EQ(plan.Examples(Train(0, 2), {0, 0}), 0);
}

TEST(JobPlanTest, ForFitOneTaskSpansAllEpochsAndBatchesCountThroughThem) {
  const JobPlan plan = MakePlan().In(Mode::kSynchronous).Every(Frequency::kFit).Epochs(3);
  EXPECT_EQ(plan.EpochsPerTask(), 3);
  EXPECT_EQ(plan.TrainTasks(), 1);
  EXPECT_EQ(plan.Batches(Train(0, 1)), 6);
  EXPECT_EQ(plan.Examples(Train(0, 1), {0, 6}), 9);
  EXPECT_EQ(plan.Examples(Train(0, 1), {1, 3}), 3);  // the rest of an epoch, and 2 of the next
  EXPECT_FALSE(plan.Contains(Train(1, 0)));
}

TEST(JobPlanTest, EpochsOverlapOnlyWhereNothingHappensAtTheirEnd) {
  EXPECT_TRUE(JobPlan(MakePlan()).epochs_overlap());
  EXPECT_TRUE(JobPlan(MakePlan().In(Mode::kHogwild)).epochs_overlap());
  EXPECT_FALSE(JobPlan(MakePlan().In(Mode::kSynchronous)).epochs_overlap());
  EXPECT_FALSE(JobPlan(MakePlan().Rows(8, 2)).epochs_overlap());
  EXPECT_FALSE(JobPlan(MakePlan().Servers(2)).epochs_overlap());
}

TEST(JobPlanTest, ContainsExactlyItsTasks) {
  const JobPlan train = MakePlan().Rows(8, 2);
  EXPECT_TRUE(train.Contains(Train(1, 2)));
  EXPECT_TRUE(train.Contains(Validate(1, 2)));
  EXPECT_TRUE(train.Contains(Finalize()));
  EXPECT_FALSE(train.Contains(Train(2, 0)));
  EXPECT_FALSE(train.Contains(Train(0, 3)));
  EXPECT_FALSE(train.Contains(Train(-1, 0)));
  EXPECT_FALSE(train.Contains(Train(0, -1)));
  EXPECT_FALSE(train.Contains({WorkKind::kEvaluate, Epoch(0), Partition(0)}));
  EXPECT_FALSE(train.Contains({WorkKind::kFinalize, Epoch(0), Partition(1)}));
  EXPECT_FALSE(JobPlan(MakePlan()).Contains(Validate(0, 0)));

  const JobPlan predict = MakePlan().Task(TaskKind::kPredict);
  EXPECT_TRUE(predict.Contains({WorkKind::kPredict, Epoch(0), Partition(2)}));
  EXPECT_FALSE(predict.Contains({WorkKind::kPredict, Epoch(1), Partition(2)}));
  EXPECT_FALSE(predict.Contains(Train(0, 0)));
}

TEST(JobPlanTest, ACheckpointIsContinuedByTheSamePlanWithAnyNumberOfEpochs) {
  const nlohmann::json before = JobPlan(MakePlan().Epochs(2)).ToJson();
  EXPECT_TRUE(JobPlan(MakePlan().Epochs(9)).CheckContinues(before).ok());
  EXPECT_THAT(JobPlan(MakePlan().BatchSize(3)).CheckContinues(before).message(),
              HasSubstr("made with batchSize 2, the job has 3"));
  EXPECT_THAT(JobPlan(MakePlan().In(Mode::kHogwild)).CheckContinues(before).message(),
              HasSubstr("made with mode \"asynchronous\", the job has \"hogwild\""));
  EXPECT_THAT(JobPlan(MakePlan()).CheckContinues(nlohmann::json::object()).message(),
              HasSubstr("missing"));
  const JobPlan fit = MakePlan().In(Mode::kSynchronous).Every(Frequency::kFit).Epochs(2);
  EXPECT_TRUE(fit.CheckContinues(fit.ToJson()).ok());
  EXPECT_FALSE(JobPlan(MakePlan().In(Mode::kSynchronous).Every(Frequency::kFit).Epochs(3))
                   .CheckContinues(fit.ToJson())
                   .ok());
}

}  // namespace
}  // namespace elephas
