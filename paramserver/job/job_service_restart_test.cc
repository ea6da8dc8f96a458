// Restarts: incarnations, checkpoints, and several servers that agree on both.
#include "paramserver/testing/job_service_fixture.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
  fs::resize_file(CheckpointFile(2), 200);
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(Parameters(), ElementsAre(-2, -2, -2));
  EXPECT_THAT(Events(), testing::Contains("CheckpointBroken"));
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

// An incarnation above what the clock gives.
constexpr Incarnation kLater(1'800'000'000'000);

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
    return service_->RegisterPeer(index, {boot, "http://p", Incarnation(0), cuts}).value();
  }
  JobService::PeerReply Tells(std::int64_t index, const std::string& boot, Incarnation incarnation,
                              const std::vector<std::int64_t>& cuts = {}) {
    return service_->RegisterPeer(index, {boot, "http://p", incarnation, cuts}).value();
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
    EXPECT_EQ(service_->RegisterPeer(index, {"a", "u"}).status().code(), Code::kInvalid);
  }
  options_.server_index = 1;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->RegisterPeer(2, {"a", "u"}).status().code(), Code::kConflict);
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
  reply = {kLater, 3, 7, "uid-1"};
  EXPECT_EQ(service_->Restore(reply).code(), Code::kNotFound);
  EXPECT_EQ(service_->CurrentIncarnation(), Incarnation(0));
  EXPECT_FALSE(service_->Ready());
  reply.cut = 0;
  EXPECT_TRUE(service_->Restore(reply).ok());
  EXPECT_EQ(service_->CurrentIncarnation(), kLater);
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
  ASSERT_TRUE(service_->Restore({kLater, 0, 7, "uid-1"}).ok());
  incarnation_ = kLater;
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
  ASSERT_TRUE(service_->Restore({kLater, 0, 7, "uid-1"}).ok());
  incarnation_ = kLater;
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
