// What each call of JobService promises. What all of them promise together is in
// job_service_simulation_test.cc.
#include "paramserver/job_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "common/optimizer.h"
#include "paramserver/core_test_support.h"
#include "tests/fakes/fake_clock.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr milliseconds kNoWait{0};
constexpr std::chrono::minutes kLong{5};  // a wait that a test would not survive

// 6 examples in 2 partitions of 3, batches of 2: two batches each. Three parameters, the last one
// not trained.
class JobServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elephas-service-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    spec_.name = "job";
    spec_.fit.epochs = 2;
    spec_.fit.batch_size = 2;
    spec_.fit.seed = 7;
    spec_.data.partitions = 2;
    options_.uid = "uid-1";
  }
  void TearDown() override {
    service_.reset();
    fs::remove_all(folder_);
  }

  void WithCheckpoints() {
    spec_.checkpoint = JobSpec::Checkpoint{"ckpt", 1, 2};
    options_.checkpoint_folder = folder_.string();
  }
  Status Start() {
    service_.reset();
    clock_.Advance(milliseconds(1));
    auto created = JobService::Create(spec_, options_, clock_);
    if (!created.ok()) return created.status();
    service_ = std::move(created).value();
    if (const auto joined = service_->Join("w"); joined.ok()) incarnation_ = joined->incarnation;
    return OkStatus();
  }
  static ModelLayout Layout() {
    ModelLayout layout;
    layout.weights = {{"dense/kernel", {2}, true, 0, 2}, {"norm/mean", {1}, false, 2, 1}};
    layout.trainable_elements = 2;
    layout.total_elements = 3;
    layout.examples = 6;
    UseOptimizer(layout, {{"class_name", "SGD"}, {"config", {{"learning_rate", 1.0}}}});
    return layout;
  }
  static void UseOptimizer(ModelLayout& layout, const json& config) {
    const auto optimizer = Optimizer::FromConfig(config).value();
    layout.optimizer = optimizer->Config();
    layout.slot_names = optimizer->SlotNames();
  }
  std::shared_ptr<FloatBuffer> Buffer(const std::vector<float>& values) {
    return Floats(pool_, values);
  }
  void Initialise(const ModelLayout& layout = Layout()) {
    ASSERT_TRUE(service_->SetLayout(incarnation_, layout).ok());
    const Status set = service_->SetParameters(incarnation_, Buffer({0, 0, 0}), {}, 0);
    ASSERT_TRUE(set.ok()) << set.message();
  }
  void StartInitialised() {
    const Status started = Start();
    ASSERT_TRUE(started.ok()) << started.message();
    Initialise();
  }

  [[nodiscard]] UpdateHeader Header(std::int64_t epoch, std::int64_t partition, Range batches,
                                    std::int64_t base = 0) const {
    UpdateHeader header;
    header.incarnation = incarnation_;
    header.lease = LeaseId(1);
    header.task = Train(epoch, partition);
    header.batches = batches;
    header.base = Version(base);
    header.examples = batches == Range{0, 2} ? 3 : batches.first == 0 ? 2 : 1;
    header.steps = batches.size();
    header.metrics = Losses(header.examples);
    return header;
  }
  Result<UpdateReply> Push(const UpdateHeader& header,
                           const std::vector<float>& delta = {1, 1, 1}) {
    return service_->ApplyUpdate(header, Buffer(delta), {});
  }
  LeaseReply Acquire(const std::string& worker = "w", bool prefetch = false) {
    return service_->AcquireLease(worker, incarnation_, kNoWait, prefetch).value();
  }
  std::vector<float> Parameters() {
    return Values(*service_->Pull(incarnation_, Version(0), false, kNoWait).value().parameters);
  }
  void TrainAll() {
    for (std::int64_t epoch = 0; epoch < spec_.fit.epochs; ++epoch) {
      for (std::int64_t p = 0; p < 2; ++p) {
        const auto pushed = Push(Header(epoch, p, {0, 2}, epoch));
        ASSERT_TRUE(pushed.ok()) << pushed.status().message();
      }
    }
  }
  void FinishJob() {
    const auto finished = service_->FinishTask(LeaseId(1), incarnation_, Finalize(), 0, {}, {"m"});
    ASSERT_TRUE(finished.ok()) << finished.status().message();
  }
  std::vector<std::string> Events() {
    std::vector<std::string> reasons;
    const json status = service_->StatusJson();
    for (const json& event : status.at("events")) {
      reasons.push_back(event.at("reason").get<std::string>());
    }
    return reasons;
  }

  fs::path folder_;
  FakeClock clock_;
  BufferPool pool_;
  JobSpec spec_;
  JobServiceOptions options_;
  std::unique_ptr<JobService> service_;
  Incarnation incarnation_;
};

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
  EXPECT_EQ(service_->ParameterRange().status().code(), Code::kConflict);
  ASSERT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  EXPECT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  EXPECT_EQ(service_->ParameterRange().value(), (Range{0, 3}));
  EXPECT_EQ(service_->SlotRange().value(), (Range{0, 2}));

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
  EXPECT_EQ(finish(Finalize(), 0).value(), UpdateOutcome::kApplied);
  EXPECT_EQ(finish(Finalize(), 0).value(), UpdateOutcome::kDuplicate);
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

// ---------------------------------------------------------------- restarts

TEST_F(JobServiceTest, AfterARestartTheOldIncarnationIsOver) {
  StartInitialised();
  const UpdateHeader old = Header(0, 0, {0, 2});
  const Incarnation before = incarnation_;
  ASSERT_TRUE(Start().ok());
  EXPECT_GT(incarnation_, before);
  EXPECT_EQ(Push(old).status().code(), Code::kConflict);
  Initialise();
  EXPECT_EQ(Push(old).status().code(), Code::kConflict);
  EXPECT_THAT(Parameters(), ElementsAre(0, 0, 0));
}

TEST_F(JobServiceTest, ACheckpointTakesParametersLedgerAndHistoryBackTogether) {
  WithCheckpoints();
  StartInitialised();
  const Incarnation before = incarnation_;
  ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok());
  ASSERT_TRUE(Push(Header(0, 1, {0, 2})).ok());
  service_->Shutdown();
  const json history = service_->HistoryJson();
  ASSERT_TRUE(Start().ok());
  EXPECT_GT(incarnation_, before);
  EXPECT_TRUE(service_->Join("w")->initialised);
  EXPECT_EQ(service_->HistoryJson(), history);
  EXPECT_THAT(Parameters(), ElementsAre(-2, -2, -2));
  EXPECT_EQ(Push(Header(0, 1, {0, 2}))->outcome, UpdateOutcome::kDuplicate);
  EXPECT_EQ(Push(Header(1, 1, {0, 2}))->outcome, UpdateOutcome::kApplied);
  EXPECT_THAT(Events(), testing::Contains("Restored"));
  EXPECT_THAT(service_->Cuts(), ElementsAre(1));
}

TEST_F(JobServiceTest, ACheckpointIsTakenEverySoManyEpochsAndAtTheEnd) {
  spec_.fit.epochs = 5;
  WithCheckpoints();
  spec_.checkpoint->every_epochs = 2;
  spec_.checkpoint->keep = 10;
  StartInitialised();
  TrainAll();
  service_->Shutdown();
  EXPECT_EQ(service_->Cuts().back(), 5);
  for (const std::int64_t cut : service_->Cuts()) EXPECT_THAT(cut, testing::AnyOf(2, 4, 5));
}

TEST_F(JobServiceTest, ABrokenCheckpointIsToldAndTheOneBeforeItTaken) {
  WithCheckpoints();
  StartInitialised();
  for (std::int64_t p = 0; p < 2; ++p) ASSERT_TRUE(Push(Header(0, p, {0, 2})).ok());
  service_->Shutdown();
  ASSERT_TRUE(Start().ok());
  for (std::int64_t p = 0; p < 2; ++p) ASSERT_TRUE(Push(Header(1, p, {0, 2})).ok());
  service_->Shutdown();
  ASSERT_THAT(service_->Cuts(), ElementsAre(1, 2));
  fs::resize_file(folder_ / "checkpoint-00000002-shard-0-of-1.safetensors", 200);
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(Parameters(), ElementsAre(-2, -2, -2));
  EXPECT_THAT(Events(), testing::Contains("CheckpointBroken"));
}

TEST_F(JobServiceTest, AnotherRunBeginsAnewUnlessItResumes) {
  WithCheckpoints();
  StartInitialised();
  TrainAll();
  service_->Shutdown();
  options_.uid = "uid-2";
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(service_->Join("w")->initialised);
  options_.resume = true;
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(service_->Join("w")->initialised);
  EXPECT_EQ(service_->StatusJson().at("uid"), "uid-1");
}

TEST_F(JobServiceTest, AJobThatIsNotTheCheckpointsIsRefusedButMayHaveMoreEpochs) {
  WithCheckpoints();
  StartInitialised();
  TrainAll();
  service_->Shutdown();
  spec_.fit.epochs = 3;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Acquire().lease->task.epoch, Epoch(2));
  spec_.fit.batch_size = 3;
  const Status refused = Start();
  EXPECT_EQ(refused.code(), Code::kInvalid);
  EXPECT_THAT(refused.message(), HasSubstr("batchSize 2, the job has 3"));
}

TEST_F(JobServiceTest, TheDrawnSeedComesBackWithTheCheckpoint) {
  spec_.fit.seed.reset();
  WithCheckpoints();
  StartInitialised();
  const std::uint64_t seed = service_->Join("w")->seed;
  TrainAll();
  service_->Shutdown();
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->Join("w")->seed, seed);
}

// ---------------------------------------------------------------- several servers

// Server 0 with what a test says of servers 1 and 2.
class PeersTest : public JobServiceTest {
 protected:
  void SetUp() override {
    JobServiceTest::SetUp();
    spec_.parameter_servers.replicas = 3;
    WithCheckpoints();
  }
  // As a server that started again would: nothing taken up yet.
  JobService::PeerReply Boots(std::int64_t index, const std::string& boot,
                              const std::vector<std::int64_t>& cuts = {}) {
    clock_.Advance(milliseconds(1));
    return service_->RegisterPeer(index, boot, "http://p", Incarnation(0), cuts).value();
  }
  JobService::PeerReply Tells(std::int64_t index, const std::string& boot, Incarnation incarnation,
                              const std::vector<std::int64_t>& cuts = {}) {
    return service_->RegisterPeer(index, boot, "http://p", incarnation, cuts).value();
  }
  void AllAgree() {
    Boots(1, "a");
    const Incarnation chosen = Boots(2, "b").incarnation;
    Tells(1, "a", chosen);
    Tells(2, "b", chosen);
    incarnation_ = chosen;
  }
};

TEST_F(PeersTest, NothingWorksBeforeAllServersAgree) {
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(service_->Ready());
  EXPECT_EQ(service_->Join("w").status().code(), Code::kUnavailable);
  EXPECT_EQ(Boots(1, "a").incarnation, Incarnation(0));
  const Incarnation chosen = Boots(2, "b").incarnation;
  EXPECT_GT(chosen, Incarnation(0));
  EXPECT_EQ(Tells(2, "b", chosen).incarnation, chosen);
  EXPECT_FALSE(service_->Ready());
  EXPECT_EQ(Tells(1, "a", chosen).incarnation, chosen);
  EXPECT_TRUE(service_->Ready());
  EXPECT_THAT(service_->Join("w")->servers, testing::SizeIs(3));
}

TEST_F(PeersTest, OnlyServersThatExistRegisterAndOnlyWithServer0) {
  ASSERT_TRUE(Start().ok());
  for (const std::int64_t index : {0, 3, -1}) {
    EXPECT_EQ(service_->RegisterPeer(index, "a", "u", Incarnation(0), {}).status().code(),
              Code::kInvalid);
  }
  options_.server_index = 1;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->RegisterPeer(2, "a", "u", Incarnation(0), {}).status().code(),
            Code::kConflict);
  EXPECT_EQ(service_->Join("w").status().code(), Code::kConflict);
  EXPECT_EQ(service_->FinishTask(LeaseId(1), Incarnation(1), Finalize(), 0, {}, {}).status().code(),
            Code::kConflict);
}

TEST_F(PeersTest, AServerThatStartsAgainEndsTheIncarnation) {
  ASSERT_TRUE(Start().ok());
  AllAgree();
  const Incarnation before = incarnation_;
  EXPECT_EQ(Tells(1, "a", before).incarnation, before) << "it only said that it is there";
  EXPECT_EQ(Boots(1, "a2").incarnation, Incarnation(0)) << "server 2 has to tell its cuts first";
  EXPECT_EQ(service_->Join("w").status().code(), Code::kUnavailable);
  EXPECT_GT(Tells(2, "b", before).incarnation, before);
}

// The clock of server 0's new machine may be behind.
TEST_F(PeersTest, TheNextIncarnationIsAboveAllThatAnyServerHasSeen) {
  ASSERT_TRUE(Start().ok());
  const Incarnation future(clock_.UnixMillis() + 1000000);
  Tells(1, "a", future);
  EXPECT_GT(Tells(2, "b", future).incarnation, future);
}

// Server 2 trained on and removed cut 1 after it had told of it; to restore it would have failed
// for ever.
TEST_F(PeersTest, ACutIsChosenFromWhatAllTellAfterTheRestart) {
  options_.server_index = 0;
  ASSERT_TRUE(Start().ok());
  Boots(1, "a", {1, 2});
  EXPECT_EQ(Boots(2, "b", {1}).cut, 0) << "server 0 has none";
  // Give server 0 checkpoints of its own.
  incarnation_ = service_->CurrentIncarnation();
  Tells(1, "a", incarnation_);
  Tells(2, "b", incarnation_);
  ASSERT_TRUE(service_->Join("w").ok());
  ASSERT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  ASSERT_TRUE(service_->SetParameters(incarnation_, Buffer({0}), {}, 0).ok());
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    for (std::int64_t p = 0; p < 2; ++p) {
      ASSERT_TRUE(Push(Header(epoch, p, {0, 2}), {1}).ok());
    }
  }
  Tells(1, "a", incarnation_, {1, 2});
  Tells(2, "b", incarnation_, {1});
  Boots(1, "a2", {1, 2});
  const JobService::PeerReply reply = Tells(2, "b", incarnation_, {2});
  EXPECT_EQ(reply.cut, 2);
  EXPECT_EQ(service_->StatusJson().at("version"), 4);

  // A server that could not restore it says so, and an older one (here: none) is chosen.
  Tells(1, "a2", reply.incarnation, {1, 2});
  EXPECT_EQ(Tells(2, "b", Incarnation(0), {}).incarnation, Incarnation(0));
  const JobService::PeerReply next = Tells(1, "a2", reply.incarnation, {1, 2});
  EXPECT_GT(next.incarnation, reply.incarnation);
  EXPECT_EQ(next.cut, 0);
  EXPECT_THAT(service_->Cuts(), IsEmpty()) << "they belong to what was given up";
}

TEST_F(PeersTest, AFinishedJobDoesNotGoBack) {
  ASSERT_TRUE(Start().ok());
  AllAgree();
  ASSERT_TRUE(service_->Join("w").ok());
  ASSERT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  ASSERT_TRUE(service_->SetParameters(incarnation_, Buffer({0}), {}, 0).ok());
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    for (std::int64_t p = 0; p < 2; ++p) {
      ASSERT_TRUE(Push(Header(epoch, p, {0, 2}), {1}).ok());
    }
  }
  FinishJob();
  const JobService::PeerReply reply = Boots(1, "a2", {1, 2});
  EXPECT_EQ(reply.incarnation, incarnation_);
  EXPECT_EQ(reply.cut, 2) << "whatever it has will do";
  EXPECT_EQ(Acquire().state, LeaseReply::State::kSucceeded);
}

TEST_F(PeersTest, AServerWhoseRestoreFailedHasNotTakenUpTheIncarnation) {
  options_.server_index = 2;
  ASSERT_TRUE(Start().ok());
  JobService::PeerReply reply;
  EXPECT_TRUE(service_->Restore(reply).ok()) << "nothing is decided";
  EXPECT_FALSE(service_->Ready());
  reply = {Incarnation(50), 3, 7, "uid-1"};
  EXPECT_EQ(service_->Restore(reply).code(), Code::kNotFound);
  EXPECT_EQ(service_->CurrentIncarnation(), Incarnation(0));
  EXPECT_FALSE(service_->Ready());
  reply.cut = 0;
  EXPECT_TRUE(service_->Restore(reply).ok());
  EXPECT_EQ(service_->CurrentIncarnation(), Incarnation(50));
  EXPECT_TRUE(service_->Ready());
}

TEST_F(PeersTest, ClippingByNormNeedsOneServer) {
  spec_.mode = Mode::kSynchronous;
  spec_.frequency = Frequency::kBatch;
  ASSERT_TRUE(Start().ok());
  AllAgree();
  ModelLayout layout = Layout();
  UseOptimizer(layout, {{"class_name", "SGD"}, {"config", {{"clipnorm", 1.0}}}});
  EXPECT_THAT(service_->SetLayout(incarnation_, layout).message(),
              HasSubstr("spec.parameterServers.replicas to 1"));
}

// For a server that knows nothing of validation the second epoch was "not open yet" for ever.
TEST_F(PeersTest, EpochsOfOtherServersEndWhenTheyAreTrained) {
  options_.server_index = 1;
  spec_.fit.validation_split = 0.3;
  spec_.fit.epochs = 4;
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(service_->Restore({Incarnation(50), 0, 7, "uid-1"}).ok());
  incarnation_ = Incarnation(50);
  ASSERT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  ASSERT_TRUE(service_->SetParameters(incarnation_, Buffer({0}), {}, 0).ok());
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    for (std::int64_t p = 0; p < 2; ++p) {
      const auto pushed = Push(Header(epoch, p, {0, 1}), {1});
      ASSERT_TRUE(pushed.ok()) << pushed.status().message();
    }
  }
  EXPECT_THAT(Parameters(), ElementsAre(-8));
}

// The round of a server beside server 0 is complete before server 0's: it shows only when somebody
// asks for what comes after it.
TEST_F(PeersTest, OtherServersCommitARoundWhenTheNextVersionIsAskedFor) {
  options_.server_index = 1;
  spec_.mode = Mode::kSynchronous;
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(service_->Restore({Incarnation(50), 0, 7, "uid-1"}).ok());
  incarnation_ = Incarnation(50);
  ASSERT_TRUE(service_->SetLayout(incarnation_, Layout()).ok());
  ASSERT_TRUE(service_->SetParameters(incarnation_, Buffer({0}), {}, 0).ok());
  for (std::int64_t p = 0; p < 2; ++p) ASSERT_TRUE(Push(Header(0, p, {0, 2}), {1}).ok());
  EXPECT_THAT(Parameters(), ElementsAre(0));
  EXPECT_EQ(Push(Header(0, 1, {0, 2}), {1})->outcome, UpdateOutcome::kDuplicate);
  const auto next = service_->Pull(incarnation_, Version(1), true, kNoWait);
  ASSERT_TRUE(next.ok()) << next.status().message();
  EXPECT_THAT(Values(*next->parameters), ElementsAre(-1));
  EXPECT_EQ(service_->Pull(incarnation_, Version(2), false, kNoWait).status().code(),
            Code::kTimeout);
  // A contribution to the next round says the same.
  for (std::int64_t p = 0; p < 2; ++p) ASSERT_TRUE(Push(Header(1, p, {0, 2}, 1), {1}).ok());
  EXPECT_THAT(Parameters(), ElementsAre(-1));
  EXPECT_THAT(Values(*service_->Pull(incarnation_, Version(2), false, kNoWait)->parameters),
              ElementsAre(-2));
}

}  // namespace
}  // namespace elephas
