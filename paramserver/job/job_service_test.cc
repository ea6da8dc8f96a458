// What each call of JobService promises. What all of them promise together is in
// job_service_simulation_test.cc.
#include "paramserver/job/job_service.h"

#include <functional>
#include <limits>
#include <thread>

#include "paramserver/testing/job_service_fixture.h"

namespace elephas {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

// ---------------------------------------------------------------- joining, initialising

TEST_F(JobServiceTest, AWorkerThatJoinsHearsWhatItMustKnow) {
  ASSERT_TRUE(Start().ok());
  service_->SetOwnUrl("http://here:4000");
  const JoinReply reply = service_->Join("worker-1").value();
  EXPECT_EQ(reply.worker, "worker-1");
  EXPECT_EQ(reply.incarnation, service_->CurrentIncarnation());
  EXPECT_FALSE(reply.initialised);
  EXPECT_EQ(reply.seed, 7U);
  EXPECT_THAT(reply.servers, ElementsAre("http://here:4000"));
  EXPECT_EQ(reply.lease_duration, milliseconds(15000));
  Initialise();
  EXPECT_TRUE(service_->Join("worker-2")->initialised);
  EXPECT_EQ(service_->Join("").status().code(), Code::kInvalid);
  EXPECT_EQ(service_->Join(std::string(254, 'x')).status().code(), Code::kInvalid);
}

TEST_F(JobServiceTest, ASeedThatNobodyGaveIsDrawnOnceAndFitsJson) {
  spec_.fit.seed.reset();
  ASSERT_TRUE(Start().ok());
  const std::uint64_t seed = service_->Join("a")->seed;
  EXPECT_LT(seed, std::uint64_t{1} << 53U);
  EXPECT_EQ(service_->Join("b")->seed, seed);
}

TEST_F(JobServiceTest, TheFirstLayoutCountsAndADifferentOneIsRefusedByName) {
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->Expects().status().code(), Code::kConflict);
  ASSERT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  EXPECT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  EXPECT_EQ(service_->Expects()->parameters, (Range{0, 3}));
  EXPECT_EQ(service_->Expects()->slots, (Range{0, 2}));

  ModelLayout other = Layout();
  other.examples = 7;
  EXPECT_THAT(service_->SetLayout(incarnation_, other).message(), HasSubstr("has 7 examples"));
  other = Layout();
  other.weights[0].shape = {2, 1};
  EXPECT_THAT(service_->SetLayout(incarnation_, other).message(), HasSubstr("'dense/kernel'"));
  other = Layout();
  other.weights.pop_back();
  EXPECT_THAT(service_->SetLayout(incarnation_, other).message(), HasSubstr("numbers of weights"));
  other = Layout();
  other.optimizer = {{"class_name", "Adam"}};
  EXPECT_EQ(service_->SetLayout(incarnation_, other).code(), Code::kConflict);
}

TEST_F(JobServiceTest, ALayoutThatTheServerCannotTakeIsRefused) {
  options_.max_parameters = 2;
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(service_->SetLayout(incarnation_, Layout()).message(),
              HasSubstr("3 parameters, this server takes 2"));

  options_.max_parameters = 100;
  spec_.mode = Mode::kSynchronous;
  spec_.frequency = Frequency::kBatch;
  ASSERT_TRUE(Start().ok());
  ModelLayout layout = Layout();
  layout.slot_names = {"momentum"};
  EXPECT_THAT(service_->SetLayout(incarnation_, layout).message(), HasSubstr("'slotNames'"));
  layout = Layout();
  layout.optimizer = {{"class_name", "Nonsense"}};
  EXPECT_EQ(service_->SetLayout(incarnation_, layout).code(), Code::kInvalid);
}

TEST_F(JobServiceTest, ParametersMustFitAndBeFiniteAndTheFirstCount) {
  ASSERT_TRUE(Start().ok());
  const auto set = [&](const std::vector<float>& values) {
    return service_->SetParameters(incarnation_, Buffer(values), {}, 0);
  };
  EXPECT_EQ(set({1, 2, 3}).code(), Code::kConflict) << "the layout comes first";
  ASSERT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  EXPECT_EQ(Push(Header(0, 0, {0, 2})).status().code(), Code::kConflict);
  EXPECT_EQ(service_->Pull(incarnation_, Version(0), false, kNoWait).status().code(),
            Code::kConflict);
  EXPECT_THAT(set({1, 2}).message(), HasSubstr("must have 3 elements"));
  EXPECT_THAT(set({1, 2, std::numeric_limits<float>::infinity()}).message(), HasSubstr("NaN"));
  EXPECT_TRUE(set({1, 2, 3}).ok());
  EXPECT_TRUE(set({9, 9, 9}).ok());
  EXPECT_THAT(Parameters(), ElementsAre(1, 2, 3));
}

TEST_F(JobServiceTest, SynchronousJobsBeginWithSlotsOfTheOptimizersInitialValue) {
  spec_.mode = Mode::kSynchronous;
  ASSERT_TRUE(Start().ok());
  ModelLayout layout = Layout();
  UseOptimizer(layout, {{"class_name", "Adam"}, {"config", json::object()}});
  Initialise(layout);
  const Snapshot snapshot = service_->Pull(incarnation_, Version(0), true, kNoWait).value();
  ASSERT_EQ(snapshot.slots.size(), layout.slot_names.size());
  EXPECT_THAT(Values(*snapshot.slots[0]), ElementsAre(0, 0));
  EXPECT_EQ(service_->SetParameters(incarnation_, Buffer({0, 0, 0}), {}, 0).code(), Code::kOk);
}

TEST_F(JobServiceTest, SlotsThatAreSentMustFit) {
  spec_.mode = Mode::kSynchronous;
  ASSERT_TRUE(Start().ok());
  ModelLayout layout = Layout();
  UseOptimizer(layout, {{"class_name", "Adam"}, {"config", json::object()}});
  ASSERT_TRUE(service_->SetLayout(incarnation_, layout).ok());
  EXPECT_THAT(
      service_->SetParameters(incarnation_, Buffer({0, 0, 0}), {Buffer({1, 1})}, 5).message(),
      HasSubstr("'slots' must have 2 rows"));
  EXPECT_THAT(
      service_->SetParameters(incarnation_, Buffer({0, 0, 0}), {Buffer({1}), Buffer({1, 1})}, 5)
          .message(),
      HasSubstr("must have 2 elements"));
  ASSERT_TRUE(
      service_->SetParameters(incarnation_, Buffer({0, 0, 0}), {Buffer({1, 2}), Buffer({3, 4})}, 5)
          .ok());
  const Snapshot snapshot = service_->Pull(incarnation_, Version(0), true, kNoWait).value();
  EXPECT_THAT(Values(*snapshot.slots[1]), ElementsAre(3, 4));
  EXPECT_EQ(snapshot.iterations, 5);
}

// ---------------------------------------------------------------- updates

TEST_F(JobServiceTest, AnUpdateIsSubtractedOnceAndARepeatIsAnswered) {
  StartInitialised();
  const UpdateReply first = Push(Header(0, 1, {0, 2}), {1, 2, 3}).value();
  EXPECT_EQ(first.outcome, UpdateOutcome::kApplied);
  EXPECT_EQ(first.version, Version(1));
  const UpdateReply second = Push(Header(0, 1, {0, 2}), {1, 2, 3}).value();
  EXPECT_EQ(second.outcome, UpdateOutcome::kDuplicate);
  EXPECT_EQ(second.version, Version(1));
  EXPECT_THAT(Parameters(), ElementsAre(-1, -2, -3));
  EXPECT_EQ(service_->AdmitUpdate(Header(0, 1, {0, 2})).value(), UpdateOutcome::kDuplicate);
  EXPECT_EQ(service_->AdmitUpdate(Header(0, 0, {0, 2})).value(), UpdateOutcome::kApplied);
}

TEST_F(JobServiceTest, AnUpdateFromALostLeaseCountsWhenItsTurnHasCome) {
  StartInitialised();
  UpdateHeader header = Header(0, 0, {0, 1});
  header.lease = LeaseId(12345);
  EXPECT_EQ(Push(header)->outcome, UpdateOutcome::kApplied);
}

struct BadUpdate {
  std::string name;
  std::function<void(UpdateHeader&)> change;
  Code code;
  std::string message;
};
void PrintTo(const BadUpdate& one, std::ostream* out) { *out << one.name; }

class BadUpdateTest : public JobServiceTest, public testing::WithParamInterface<BadUpdate> {};

INSTANTIATE_TEST_SUITE_P(
    , BadUpdateTest,
    testing::Values(BadUpdate{"AnotherIncarnation", [](auto& h) { ++h.incarnation; },
                              Code::kConflict, "is over, it is"},
                    BadUpdate{"APartitionThatIsNotThere",
                              [](auto& h) { h.task.partition = Partition(2); }, Code::kInvalid,
                              "no updates for train epoch 0 partition 2"},
                    BadUpdate{"AnEpochThatIsNotThere", [](auto& h) { h.task.epoch = Epoch(3); },
                              Code::kInvalid, "no updates for train epoch 3"},
                    BadUpdate{"AnEpochThatIsNotOpenYet", [](auto& h) { h.task.epoch = Epoch(2); },
                              Code::kConflict, "not open yet"},
                    BadUpdate{"ATaskWithoutUpdates",
                              [](auto& h) { h.task.kind = WorkKind::kFinalize; }, Code::kInvalid,
                              "no updates for finalize"},
                    BadUpdate{"NoBatches", [](auto& h) { h.batches = {1, 1}; }, Code::kInvalid,
                              "has batches 0 to 2"},
                    BadUpdate{"TooManyBatches", [](auto& h) { h.batches = {0, 3}; }, Code::kInvalid,
                              "has batches 0 to 2"},
                    BadUpdate{"BatchesAheadOfTheirTurn", [](auto& h) { h.batches = {1, 2}; },
                              Code::kConflict, "the next batch of train epoch 0 partition 0 is 0"},
                    BadUpdate{"AWrongNumberOfExamples", [](auto& h) { h.examples = 4; },
                              Code::kInvalid, "'examples' is 4"},
                    BadUpdate{"NoMetrics", [](auto& h) { h.metrics.clear(); }, Code::kInvalid,
                              "metrics must have 1 entries"}),
    [](const auto& each) { return each.param.name; });

TEST_P(BadUpdateTest, IsRefusedWithTheReasonAndChangesNothing) {
  spec_.fit.epochs = 3;
  StartInitialised();
  const json before = service_->StatusJson();
  UpdateHeader header = Header(0, 0, {0, 2});
  GetParam().change(header);
  const auto admitted = service_->AdmitUpdate(header);
  const auto pushed = Push(header);
  for (const Status& status : {admitted.status(), pushed.status()}) {
    EXPECT_EQ(status.code(), GetParam().code);
    EXPECT_THAT(status.message(), HasSubstr(GetParam().message));
  }
  EXPECT_THAT(Parameters(), ElementsAre(0, 0, 0));
  EXPECT_EQ(service_->StatusJson(), before);
}

TEST_F(JobServiceTest, ADeltaMustFitAndBeFinite) {
  StartInitialised();
  EXPECT_THAT(Push(Header(0, 0, {0, 2}), {1, 1}).status().message(),
              HasSubstr("'delta' must have 3 elements"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Status bad = Push(Header(0, 0, {0, 2}), {1, nan, 1}).status();
  EXPECT_EQ(bad.code(), Code::kInvalid);
  EXPECT_THAT(bad.message(), HasSubstr("NaN"));
  EXPECT_EQ(service_->ApplyUpdate(Header(0, 0, {0, 2}), Buffer({1, 1, 1}), {Buffer({1, 1})})
                .status()
                .code(),
            Code::kInvalid)
      << "slots stay with the worker here";
  EXPECT_THAT(Parameters(), ElementsAre(0, 0, 0));
}

TEST_F(JobServiceTest, OnNanContinueTakesWhatComes) {
  spec_.fit.on_nan = OnNan::kContinue;
  StartInitialised();
  EXPECT_TRUE(Push(Header(0, 0, {0, 2}), {1, std::numeric_limits<float>::infinity(), 1}).ok());
  EXPECT_EQ(Parameters()[1], -std::numeric_limits<float>::infinity());
}

TEST_F(JobServiceTest, ASynchronousRoundIsSeenOnlyWhenItIsComplete) {
  spec_.mode = Mode::kSynchronous;
  StartInitialised();
  EXPECT_EQ(Push(Header(0, 1, {0, 2}), {2, 2, 2})->version, Version(0));
  EXPECT_THAT(Parameters(), ElementsAre(0, 0, 0));
  EXPECT_THAT(Push(Header(0, 0, {0, 1})).status().message(), HasSubstr("the whole task"));
  EXPECT_EQ(Push(Header(0, 0, {0, 2}, /*base=*/1)).status().code(), Code::kConflict);
  EXPECT_EQ(Push(Header(1, 0, {0, 2})).status().code(), Code::kConflict);
  EXPECT_EQ(Push(Header(0, 0, {0, 2}), {4, 4, 4})->version, Version(1));
  EXPECT_THAT(Parameters(), ElementsAre(-3, -3, -3));
  EXPECT_EQ(Push(Header(0, 0, {0, 2}), {4, 4, 4})->outcome, UpdateOutcome::kDuplicate);
}

TEST_F(JobServiceTest, ASynchronousBatchRoundIsOneStepOfTheOptimizer) {
  spec_.mode = Mode::kSynchronous;
  spec_.frequency = Frequency::kBatch;
  StartInitialised();
  EXPECT_THAT(Push(Header(0, 0, {0, 2})).status().message(), HasSubstr("covers one batch"));
  ASSERT_TRUE(Push(Header(0, 0, {0, 1}), {2, 4, 6}).ok());
  EXPECT_EQ(Push(Header(0, 0, {1, 2})).status().code(), Code::kConflict)
      << "partition 1 has not contributed to the round yet";
  ASSERT_TRUE(Push(Header(0, 1, {0, 1}), {4, 0, 2}).ok());
  EXPECT_THAT(Parameters(), ElementsAre(-3, -2, -4));
  const Snapshot snapshot = service_->Pull(incarnation_, Version(1), true, kNoWait).value();
  EXPECT_EQ(snapshot.iterations, 1);
}

TEST_F(JobServiceTest, AHogwildPullIsACopy) {
  spec_.mode = Mode::kHogwild;
  StartInitialised();
  const Snapshot before = service_->Pull(incarnation_, Version(0), false, kNoWait).value();
  ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok());
  EXPECT_THAT(Values(*before.parameters), ElementsAre(0, 0, 0));
  EXPECT_THAT(Parameters(), ElementsAre(-1, -1, -1));
}

// ---------------------------------------------------------------- leases and waiting

TEST_F(JobServiceTest, LeasesNameTheVersionThatMustBePulledWhereItMatters) {
  StartInitialised();
  ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok());
  EXPECT_EQ(Acquire().lease->version, Version(0)) << "asynchronous: whatever is there";
  spec_.mode = Mode::kSynchronous;
  StartInitialised();
  ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok());
  ASSERT_TRUE(Push(Header(0, 1, {0, 2})).ok());
  EXPECT_EQ(Acquire().lease->version, Version(1));
  EXPECT_EQ(Acquire().lease->incarnation, incarnation_);
}

TEST_F(JobServiceTest, NothingIsLeasedBeforeThereAreParametersOrToStrangers) {
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Acquire().state, LeaseReply::State::kWait);
  Initialise();
  EXPECT_EQ(Acquire().state, LeaseReply::State::kLeased);
  EXPECT_EQ(service_->AcquireLease("stranger", incarnation_, kNoWait, false).status().code(),
            Code::kNotFound);
  EXPECT_EQ(service_->Heartbeat("stranger", incarnation_).code(), Code::kNotFound);
  EXPECT_EQ(service_->Leave("stranger").code(), Code::kNotFound);
  EXPECT_EQ(service_->AcquireLease("w", Incarnation(3), kNoWait, false).status().code(),
            Code::kConflict);
  EXPECT_EQ(service_->Heartbeat("w", Incarnation(3)).code(), Code::kConflict);
}

TEST_F(JobServiceTest, AnExpiredLeaseGoesToAnotherWorkerAndTheLatePushIsADuplicate) {
  spec_.data.partitions = 1;
  StartInitialised();
  UpdateHeader header = Header(0, 0, {0, 3});
  header.examples = 6;
  header.metrics = Losses(6);
  header.lease = Acquire().lease->id;
  ASSERT_TRUE(service_->Join("other").ok());
  EXPECT_EQ(Acquire("other").state, LeaseReply::State::kWait);
  clock_.Advance(milliseconds(15000));
  const LeaseReply reply = Acquire("other");
  ASSERT_EQ(reply.state, LeaseReply::State::kLeased);
  EXPECT_THAT(Events(), testing::Contains("LeaseExpired"));
  UpdateHeader others = header;
  others.lease = reply.lease->id;
  EXPECT_EQ(Push(others)->outcome, UpdateOutcome::kApplied);
  EXPECT_EQ(Push(header)->outcome, UpdateOutcome::kDuplicate);
}

TEST_F(JobServiceTest, AWaitingWorkerIsWokenByWhatOpensATask) {
  StartInitialised();
  ASSERT_TRUE(service_->Join("other").ok());
  Acquire();
  ASSERT_EQ(Acquire("w", true).state, LeaseReply::State::kWait);  // left for the other
  ASSERT_EQ(Acquire("other").state, LeaseReply::State::kLeased);
  ASSERT_TRUE(service_->Join("third").ok());
  std::jthread leaver([this] {
    while (service_->StatusJson().at("workers").empty()) std::this_thread::yield();
    ASSERT_TRUE(service_->Leave("other").ok());
  });
  const auto reply = service_->AcquireLease("third", incarnation_, kLong, false);
  EXPECT_EQ(reply->state, LeaseReply::State::kLeased);
  EXPECT_EQ(reply->lease->task, Train(0, 1));
}

TEST_F(JobServiceTest, AWaitingPullIsWokenByTheUpdateItWaitsFor) {
  StartInitialised();
  std::jthread pusher([this] { ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok()); });
  const auto snapshot = service_->Pull(incarnation_, Version(1), false, kLong);
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ(snapshot->version, Version(1));
  EXPECT_EQ(service_->Pull(incarnation_, Version(2), false, milliseconds(5)).status().code(),
            Code::kTimeout);
  EXPECT_EQ(service_->Pull(incarnation_, Version(2), true, kLong).status().code(), Code::kTimeout)
      << "with slots it does not wait";
}

TEST_F(JobServiceTest, ShutdownWakesEverybody) {
  StartInitialised();
  ASSERT_TRUE(service_->Join("other").ok());
  Acquire();
  Acquire("other");
  ASSERT_TRUE(service_->Join("third").ok());
  Status pulled;
  Status leased;
  {
    std::jthread pull(
        [&] { pulled = service_->Pull(incarnation_, Version(9), false, kLong).status(); });
    std::jthread lease(
        [&] { leased = service_->AcquireLease("third", incarnation_, kLong, false).status(); });
    service_->Shutdown();
  }
  EXPECT_EQ(pulled.code(), Code::kUnavailable);
  EXPECT_EQ(leased.code(), Code::kUnavailable);
  EXPECT_EQ(Push(Header(0, 0, {0, 2})).status().code(), Code::kUnavailable);
}

// ---------------------------------------------------------------- ends

TEST_F(JobServiceTest, ValidationAndFinalizeAreFinishedOnceAndInTheirOrder) {
  spec_.fit.epochs = 1;
  spec_.fit.validation_split = 0.3;  // 4 rows train, 2 validate
  StartInitialised();
  const auto finish = [&](const TaskId& task, std::int64_t examples) {
    return service_->FinishTask(LeaseId(1), incarnation_, task, examples, Losses(examples)[0],
                                {"model.keras"});
  };
  EXPECT_EQ(finish(Validate(0, 0), 1).status().code(), Code::kConflict);
  EXPECT_EQ(finish(Finalize(), 0).status().code(), Code::kConflict);
  EXPECT_EQ(finish(Train(0, 0), 2).status().code(), Code::kInvalid);
  for (std::int64_t p = 0; p < 2; ++p) {
    UpdateHeader header = Header(0, p, {0, 1});
    ASSERT_TRUE(Push(header).ok());
  }
  EXPECT_EQ(finish(Validate(0, 2), 1).status().code(), Code::kInvalid);
  EXPECT_EQ(finish(Validate(0, 0), 5).status().code(), Code::kInvalid);
  EXPECT_EQ(finish(Validate(0, 0), 1).value(), UpdateOutcome::kApplied);
  EXPECT_EQ(finish(Validate(0, 0), 1).value(), UpdateOutcome::kDuplicate);
  EXPECT_EQ(finish(Finalize(), 0).status().code(), Code::kConflict);
  EXPECT_EQ(finish(Validate(0, 1), 1).value(), UpdateOutcome::kApplied);
  EXPECT_EQ(service_->StatusJson().at("state"), "Finalizing");
  EXPECT_EQ(Acquire().lease->task, Finalize());
  EXPECT_FALSE(service_->Join("late")->over);
  EXPECT_EQ(finish(Finalize(), 0).value(), UpdateOutcome::kApplied);
  EXPECT_EQ(finish(Finalize(), 0).value(), UpdateOutcome::kDuplicate);
  EXPECT_TRUE(service_->Join("later")->over);
  EXPECT_EQ(Acquire().state, LeaseReply::State::kSucceeded);
  const json status = service_->StatusJson();
  EXPECT_EQ(status.at("state"), "Succeeded");
  EXPECT_EQ(status.at("outputs"), json({"model.keras"}));
  EXPECT_EQ(service_->HistoryJson().at("val_loss"), json({1.0}));
}

TEST_F(JobServiceTest, WhoeverAsksAfterTheEndHearsOfIt) {
  StartInitialised();
  TrainAll();
  FinishJob();
  const auto reply = service_->AcquireLease("w", Incarnation(3), kNoWait, false);
  ASSERT_TRUE(reply.ok()) << "whatever incarnation it was in";
  EXPECT_EQ(reply->state, LeaseReply::State::kSucceeded);
  EXPECT_TRUE(service_->Fail("w", "TooLate", "…").ok());
  EXPECT_EQ(service_->StatusJson().at("state"), "Succeeded");
}

TEST_F(JobServiceTest, TheFirstFailureIsTheOneThatIsTold) {
  StartInitialised();
  EXPECT_EQ(service_->Fail("stranger", "X", "y").code(), Code::kNotFound);
  ASSERT_TRUE(service_->Fail("w", "BadData", "data.csv:3: no number").ok());
  ASSERT_TRUE(service_->Fail("w", "Other", "…").ok());
  const LeaseReply reply = Acquire();
  EXPECT_EQ(reply.state, LeaseReply::State::kFailed);
  EXPECT_EQ(reply.message, "BadData: data.csv:3: no number");
  const json status = service_->StatusJson();
  EXPECT_EQ(status.at("state"), "Failed");
  EXPECT_EQ(status.at("reason"), "BadData");
}

TEST_F(JobServiceTest, AnEvaluationEndsWithItsMetrics) {
  spec_.task = TaskKind::kEvaluate;
  spec_.mode = Mode::kSynchronous;
  spec_.frequency = Frequency::kFit;  // once divided by zero
  StartInitialised();
  for (std::int64_t p = 0; p < 2; ++p) {
    const Lease lease = *Acquire().lease;
    EXPECT_EQ(lease.task.kind, WorkKind::kEvaluate);
    MetricSums sums{{"loss", {"mean", {static_cast<double>(p), 3}}}};
    ASSERT_TRUE(service_->FinishTask(lease.id, incarnation_, lease.task, 3, sums, {}).ok());
  }
  EXPECT_EQ(service_->StatusJson().at("result").at("metrics"), json({{"loss", 1.0 / 6}}));
  EXPECT_EQ(Acquire().lease->task, Finalize());
}

TEST_F(JobServiceTest, StatusTellsHowFarItIs) {
  StartInitialised();
  ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok());
  clock_.Advance(milliseconds(500));
  ASSERT_TRUE(Push(Header(0, 1, {0, 1})).ok());
  Acquire();
  const json status = service_->StatusJson();
  EXPECT_EQ(status.at("state"), "Running");
  EXPECT_EQ(status.at("epoch"), 0);
  EXPECT_EQ(status.at("epochs"), 2);
  EXPECT_EQ(status.at("examples"), 5);
  EXPECT_EQ(status.at("examplesPerEpoch"), 6);
  EXPECT_EQ(status.at("progress"), 5.0 / 12);
  EXPECT_EQ(status.at("examplesPerSecond"), 10.0);
  EXPECT_EQ(status.at("secondsRemaining"), 0.7);
  EXPECT_EQ(status.at("version"), 2);
  EXPECT_EQ(status.at("metrics"), json({{"loss", 1.0}}));
  ASSERT_EQ(status.at("workers").size(), 1U);
  EXPECT_EQ(status.at("workers")[0].at("state"), "Working");
  EXPECT_EQ(status.at("workers")[0].at("lease").at("partition"), 1);
}

}  // namespace
}  // namespace elephas
