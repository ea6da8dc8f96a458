// Training callbacks behind JobService: stopping, learning rates, kept models, restarts.
#include "paramserver/testing/job_service_fixture.h"

namespace elephas {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

class JobServiceCallbacksTest : public JobServiceTest {
 protected:
  void SetUp() override {
    JobServiceTest::SetUp();
    spec_.fit.epochs = 10;
  }
  void StopEarly(std::int64_t patience, bool restore = true) {
    spec_.fit.early_stopping.emplace();
    spec_.fit.early_stopping->monitor = "loss";
    spec_.fit.early_stopping->patience = patience;
    spec_.fit.early_stopping->restore_best_weights = restore;
  }
  void ReduceRate(std::int64_t patience) {
    spec_.fit.reduce_lr.emplace();
    spec_.fit.reduce_lr->monitor = "loss";
    spec_.fit.reduce_lr->patience = patience;
    spec_.fit.reduce_lr->factor = 0.5;
  }
  void KeepBest() {
    spec_.fit.model_checkpoint.emplace();
    spec_.fit.model_checkpoint->monitor = "loss";
  }
  // Both partitions' tasks of one epoch, each with a mean loss of `loss`; every parameter goes down
  // by one for each.
  void TrainEpoch(std::int64_t epoch, double loss) {
    for (std::int64_t p = 0; p < 2; ++p) {
      UpdateHeader header = Header(epoch, p, {0, 2}, epoch);
      header.metrics = {{{"loss", {"mean", {loss * 3, 3}}}}};
      header.decisions = decisions_;
      const auto pushed = Push(header);
      ASSERT_TRUE(pushed.ok()) << pushed.status().message();
    }
  }
  void TrainEpochs(const std::vector<double>& losses, std::int64_t first = 0) {
    for (const double loss : losses) TrainEpoch(first++, loss);
  }
  std::vector<float> ModelAfter(std::int64_t epoch) {
    const auto kept = service_->PullEpoch(incarnation_, epoch, false);
    return kept.ok() ? Values(*kept->parameters) : std::vector<float>();
  }
  FitDecisions decisions_;
};

TEST_F(JobServiceCallbacksTest, StopsAndNamesTheEpochWhoseWeightsCount) {
  StopEarly(2);
  StartInitialised();
  TrainEpochs({3, 2, 4, 4});
  const LeaseReply reply = Acquire();
  ASSERT_EQ(reply.state, LeaseReply::State::kLeased);
  EXPECT_EQ(reply.lease->task.kind, WorkKind::kFinalize);
  EXPECT_EQ(reply.lease->decisions.restore, 2);
  EXPECT_THAT(ModelAfter(2), ElementsAre(-4, -4, -4));
  EXPECT_THAT(ModelAfter(1), IsEmpty());
  EXPECT_THAT(Events(), Contains("EarlyStopping"));
  EXPECT_EQ(service_->StatusJson()["progress"], 1.0);
  FinishJob();
  EXPECT_EQ(service_->StatusJson()["state"], "Succeeded");
}

TEST_F(JobServiceCallbacksTest, EpochsDoNotOverlapWhenTheirEndDecides) {
  StopEarly(1);
  StartInitialised();
  ASSERT_TRUE(service_->Join("v").ok());
  const LeaseReply first = Acquire("w");
  const LeaseReply second = Acquire("v");
  ASSERT_TRUE(first.lease && second.lease);
  UpdateHeader header = Header(0, first.lease->task.partition.value(), {0, 2});
  header.lease = first.lease->id;
  ASSERT_TRUE(Push(header).ok());
  EXPECT_EQ(Acquire("w").state, LeaseReply::State::kWait);  // the other partition is being trained
}

TEST_F(JobServiceCallbacksTest, ARestartDecidesTheSame) {
  for (const bool restarts : {false, true}) {
    options_.uid = restarts ? "restarts" : "undisturbed";
    StopEarly(3);
    KeepBest();
    ReduceRate(2);
    WithCheckpoints();
    StartInitialised();
    std::int64_t epoch = 0;
    for (const double loss : {3, 2, 4, 5, 6}) {
      TrainEpoch(epoch++, loss);
      if (!restarts) continue;
      service_->Shutdown();
      const Status started = Start();
      ASSERT_TRUE(started.ok()) << started.message();
      ASSERT_TRUE(service_->Join("w")->initialised);
    }
    const LeaseReply reply = Acquire();
    ASSERT_TRUE(reply.lease);
    EXPECT_EQ(reply.lease->task.kind, WorkKind::kFinalize);
    EXPECT_EQ(reply.lease->decisions.restore, 2);
    EXPECT_EQ(reply.lease->decisions.best, 2);
    EXPECT_EQ(reply.lease->decisions.best_learning_rate, std::nullopt);
    EXPECT_EQ(reply.lease->decisions.learning_rate, 0.5);
    EXPECT_THAT(ModelAfter(2), ElementsAre(-4, -4, -4));
    EXPECT_EQ(service_->HistoryJson()["learning_rate"], (nlohmann::json{1.0, 1.0, 1.0, 1.0, 0.5}));
  }
}

TEST_F(JobServiceCallbacksTest, HogwildKeepsACopy) {
  spec_.mode = Mode::kHogwild;
  KeepBest();
  StartInitialised();
  TrainEpochs({1, 2});
  EXPECT_THAT(ModelAfter(1), ElementsAre(-2, -2, -2));
  EXPECT_THAT(Parameters(), ElementsAre(-4, -4, -4));
}

TEST_F(JobServiceCallbacksTest, AnotherServerLearnsFromTheUpdatesWhichModelsToKeep) {
  KeepBest();
  spec_.parameter_servers.replicas = 2;
  options_.server_index = 1;
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(service_->Restore({Incarnation(5), 0, 7, "uid-1"}).ok());
  incarnation_ = Incarnation(5);
  ASSERT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  ASSERT_TRUE(service_->SetParameters(incarnation_, Buffer({0}), {}, 0).ok());
  const auto push = [&](std::int64_t epoch, std::optional<std::int64_t> best) {
    for (std::int64_t p = 0; p < 2; ++p) {
      UpdateHeader header = Header(epoch, p, {0, 2}, epoch);
      header.decisions.best = best;
      ASSERT_TRUE(service_->ApplyUpdate(header, Buffer({1}), {}).ok());
    }
  };
  push(0, std::nullopt);
  EXPECT_THAT(ModelAfter(1), ElementsAre(-2));  // nobody has said yet whether it is the best
  push(1, 1);
  push(2, 1);
  EXPECT_THAT(ModelAfter(1), ElementsAre(-2));
  EXPECT_THAT(ModelAfter(2), IsEmpty());
  EXPECT_THAT(ModelAfter(3), ElementsAre(-6));
  push(3, 3);
  EXPECT_THAT(ModelAfter(1), IsEmpty());
  EXPECT_THAT(ModelAfter(3), ElementsAre(-6));
}

// Synchronous batch: the server's own optimizer takes the step.
TEST_F(JobServiceCallbacksTest, TheServersOptimizerTakesTheNewLearningRate) {
  spec_.mode = Mode::kSynchronous;
  spec_.frequency = Frequency::kBatch;
  ReduceRate(1);
  KeepBest();
  StartInitialised();
  std::int64_t round = 0;
  const auto train = [&](std::int64_t epoch) {
    for (const std::int64_t batch : {0, 1}) {
      for (std::int64_t p = 0; p < 2; ++p) {
        UpdateHeader header = Header(epoch, p, {batch, batch + 1}, round);
        const auto pushed = Push(header, {1, 1, 0});
        ASSERT_TRUE(pushed.ok()) << pushed.status().message();
      }
      ++round;
    }
  };
  train(0);
  EXPECT_THAT(Parameters(), ElementsAre(-2, -2, 0));
  train(1);  // no better: from now on half of it
  EXPECT_THAT(Parameters(), ElementsAre(-4, -4, 0));
  train(2);
  EXPECT_THAT(Parameters(), ElementsAre(-5, -5, 0));
  EXPECT_THAT(ModelAfter(1), ElementsAre(-2, -2, 0));
  EXPECT_EQ(service_->PullEpoch(incarnation_, 1, true)->iterations, 2);
}

TEST_F(JobServiceCallbacksTest, AModeThatNobodyKnowsIsRefusedWithTheLayout) {
  KeepBest();
  spec_.fit.model_checkpoint->monitor = "false_positives";
  ASSERT_TRUE(Start().ok());
  const Status set = service_->SetLayout(incarnation_, Layout());
  EXPECT_EQ(set.code(), Code::kInvalid);
  EXPECT_THAT(set.message(), testing::HasSubstr("spec.fit.modelCheckpoint"));
}

}  // namespace
}  // namespace elephas
