// Whose checkpoints a job goes on from, and whose it leaves alone.
#include <fstream>
#include <iterator>
#include <map>
#include <thread>
#include <utility>

#include "paramserver/testing/job_service_fixture.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class FoldersTest : public JobServiceTest {
 protected:
  void SetUp() override {
    JobServiceTest::SetUp();
    WithCheckpoints();
    spec_.fit.epochs = 6;
    spec_.checkpoint->keep = 10;
  }
  void TrainEpoch(std::int64_t epoch) {
    for (std::int64_t p = 0; p < 2; ++p) {
      const auto pushed = Push(Header(epoch, p, {0, 2}, epoch));
      ASSERT_TRUE(pushed.ok()) << pushed.status().message();
    }
  }
  // A run that was stopped after so many epochs.
  void Run(const std::string& uid, std::int64_t epochs) {
    options_.uid = uid;
    StartInitialised();
    for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
      TrainEpoch(epoch);
      service_->Shutdown();  // writes what waits
      ASSERT_TRUE(Start().ok());
    }
    service_->Shutdown();
  }
  std::vector<std::string> Warnings() {
    std::vector<std::string> reasons;
    const json status = service_->StatusJson();
    for (const json& warning : status.at("warnings")) {
      reasons.push_back(warning.at("reason").get<std::string>());
    }
    return reasons;
  }
  bool Initialised() { return service_->Join("w")->initialised; }
  // The content of all checkpoints of a run, by name.
  std::map<std::string, std::string> Bytes(const std::string& uid) {
    std::map<std::string, std::string> bytes;
    for (const auto& entry : fs::directory_iterator(folder_ / uid)) {
      std::ifstream file(entry.path(), std::ios::binary);
      bytes[entry.path().filename()] = {std::istreambuf_iterator<char>(file), {}};
    }
    return bytes;
  }
};

// The second job once deleted the first one's checkpoints, and the first, started again, began at
// epoch 0 without a word.
TEST_F(FoldersTest, TwoJobsOnOneFolderBothGoOnAfterKills) {
  Run("uid-1", 3);
  const auto before = Bytes("uid-1");
  Run("uid-2", 2);
  EXPECT_EQ(Bytes("uid-1"), before);
  for (const auto& [uid, epochs] : {std::pair("uid-1", 3), std::pair("uid-2", 2)}) {
    options_.uid = uid;
    ASSERT_TRUE(Start().ok());
    EXPECT_TRUE(Initialised());
    EXPECT_EQ(service_->StatusJson().at("epoch"), epochs) << uid;
  }
}

TEST_F(FoldersTest, ForeignCheckpointsAreToldAndNotUsed) {
  Run("uid-1", 2);
  options_.uid = "uid-2";
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(Initialised());
  EXPECT_THAT(Warnings(), ElementsAre("ForeignCheckpoints"));
  const std::string message = service_->StatusJson().at("warnings")[0].at("message");
  EXPECT_THAT(message, HasSubstr("uid-1 (up to epoch 2)"));
  EXPECT_THAT(message, HasSubstr("spec.checkpoint.resume: latest"));
}

TEST_F(FoldersTest, ResumingReadsTheLatestRunAndWritesIntoItsOwnFolder) {
  Run("uid-1", 4);
  Run("uid-2", 2);
  const auto first = Bytes("uid-1"), second = Bytes("uid-2");
  options_.uid = "uid-3";
  options_.resume = Resume::kLatest;
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(Initialised());
  const json status = service_->StatusJson();
  EXPECT_EQ(status.at("uid"), "uid-3");
  EXPECT_EQ(status.at("resumedFrom"), (json{{"uid", "uid-2"}, {"epoch", 2}}));
  EXPECT_THAT(Events(), Contains("Resumed"));
  EXPECT_THAT(Parameters(), ElementsAre(-4, -4, -4));
  // Killed before it has a checkpoint of its own: the same run is continued, although another one
  // was started since.
  options_.uid = "uid-4";
  options_.resume = Resume::kOwn;
  Run("uid-4", 1);
  options_.uid = "uid-3";
  options_.resume = Resume::kLatest;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->StatusJson().at("resumedFrom").at("uid"), "uid-2");
  TrainEpoch(2);
  service_->Shutdown();
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->StatusJson().at("epoch"), 3);
  EXPECT_FALSE(service_->StatusJson().contains("resumedFrom")) << "now it has its own";
  EXPECT_EQ(Bytes("uid-1"), first);
  EXPECT_EQ(Bytes("uid-2"), second);
}

TEST_F(FoldersTest, NothingToResumeIsToldAndTheJobStarts) {
  options_.resume = Resume::kLatest;
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(Initialised());
  EXPECT_THAT(Warnings(), ElementsAre("NothingToResume"));
}

TEST_F(FoldersTest, CheckpointsOfAnotherNumberOfServersCannotBeResumed) {
  Run("uid-1", 1);
  options_.uid = "uid-2";
  options_.resume = Resume::kLatest;
  spec_.parameter_servers.replicas = 2;
  const Status refused = Start();
  EXPECT_EQ(refused.code(), Code::kNotFound);
  EXPECT_THAT(refused.message(), HasSubstr("spec.parameterServers.replicas"));
}

TEST_F(FoldersTest, WhenAllCheckpointsAreDamagedTheServerStopsAndNamesThem) {
  Run("uid-1", 2);
  for (const std::int64_t cut : {1, 2}) fs::resize_file(CheckpointFile(cut), 100);
  for (const Resume resume : {Resume::kOwn, Resume::kLatest}) {
    options_.resume = resume;
    const Status refused = Start();
    EXPECT_EQ(refused.code(), Code::kGone);
    EXPECT_THAT(refused.message(), HasSubstr(CheckpointFile(1).string()));
    EXPECT_THAT(refused.message(), HasSubstr(CheckpointFile(2).string()));
    EXPECT_THAT(refused.message(), HasSubstr("spec.checkpoint.resume: restart"));
  }
  EXPECT_TRUE(fs::exists(CheckpointFile(2))) << "a person may want to look at it";
  options_.resume = Resume::kRestart;
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(Initialised());
  EXPECT_THAT(Warnings(), Contains("StartedOver"));
  // Once: after that it goes on from what it has written since.
  incarnation_ = service_->CurrentIncarnation();
  Initialise();
  TrainEpoch(0);
  service_->Shutdown();
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->StatusJson().at("epoch"), 1);
  EXPECT_THAT(Warnings(), Not(Contains("StartedOver")));
}

TEST_F(FoldersTest, RestartDoesNotThrowAwayWhatIsWhole) {
  Run("uid-1", 2);
  options_.resume = Resume::kRestart;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->StatusJson().at("epoch"), 2);
}

TEST_F(FoldersTest, AFolderThatCannotBeWrittenIsToldWithTheWayOut) {
  std::ofstream(folder_ / "file") << "text";
  options_.checkpoint_folder = (folder_ / "file" / "ckpt").string();
  const Status refused = Start();
  EXPECT_EQ(refused.code(), Code::kForbidden);
  for (const char* part : {"file/ckpt", "user ", "group ", "fsGroup", "subPath"}) {
    EXPECT_THAT(refused.message(), HasSubstr(part));
  }
}

// ---------------------------------------------------------------- the fence

// The successor wrote cuts 2 to 4, the old server ended its epoch 2, and 3 and 4 were gone.
TEST_F(FoldersTest, AServerThatLivesOnLeavesItsSuccessorsCheckpointsAlone) {
  StartInitialised();
  TrainEpoch(0);
  clock_.Advance(milliseconds(1));
  std::unique_ptr<JobService> old = std::exchange(service_, nullptr);
  while (old->Cuts().empty()) std::this_thread::yield();
  Incarnation old_incarnation = incarnation_;

  ASSERT_TRUE(Start().ok());
  ASSERT_GT(incarnation_, old_incarnation);
  for (std::int64_t epoch = 1; epoch < 4; ++epoch) {
    TrainEpoch(epoch);
    while (service_->Cuts().back() != epoch + 1) std::this_thread::yield();
  }
  const auto before = Bytes("uid-1");

  std::swap(old, service_);
  std::swap(incarnation_, old_incarnation);
  TrainEpoch(1);
  service_->Shutdown();
  const auto fenced = service_->Fenced();
  ASSERT_TRUE(fenced.has_value());
  EXPECT_THAT(*fenced, HasSubstr("has taken over"));
  EXPECT_EQ(service_->Join("w").status().code(), Code::kUnavailable);
  EXPECT_EQ(Bytes("uid-1"), before);
  EXPECT_FALSE(old->Fenced().has_value());
  service_ = std::move(old);
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(service_->StatusJson().at("epoch"), 4);
}

TEST_F(FoldersTest, AServerThatWritesNothingNoticesItsSuccessorToo) {
  StartInitialised();
  EXPECT_FALSE(service_->Fenced().has_value());
  std::unique_ptr<JobService> old = std::exchange(service_, nullptr);
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(old->Fenced().has_value()) << "it has just looked";
  clock_.Advance(milliseconds(5000));
  EXPECT_TRUE(old->Fenced().has_value());
}

// It must not give out the writing of the outputs, which the successor's worker does as well.
TEST_F(FoldersTest, AServerThatWasSucceededDoesNotLetTheOutputsBeWritten) {
  spec_.fit.epochs = 1;
  StartInitialised();
  TrainEpoch(0);
  std::unique_ptr<JobService> old = std::exchange(service_, nullptr);
  while (old->Cuts().empty()) std::this_thread::yield();
  const Incarnation mine = incarnation_;
  ASSERT_TRUE(Start().ok());
  const auto lease = old->AcquireLease("w", mine, kNoWait, false);
  EXPECT_EQ(lease.status().code(), Code::kUnavailable);
  old.reset();
  EXPECT_EQ(Acquire().lease->task.kind, WorkKind::kFinalize);
}

// A clock that went back once gave a new server the older incarnation.
TEST_F(FoldersTest, IncarnationsStayOrderedWhenTheClockGoesBack) {
  StartInitialised();
  std::vector<Incarnation> seen{incarnation_};
  for (const std::int64_t step : {-3'600'000, -1, 0, 7'200'000, -86'400'000, 1}) {
    clock_.Advance(milliseconds(step));
    ASSERT_TRUE(Start().ok());
    EXPECT_GT(incarnation_, seen.back()) << step;
    seen.push_back(incarnation_);
  }
}

// ---------------------------------------------------------------- several servers

class FoldersOfPeersTest : public FoldersTest {
 protected:
  void SetUp() override {
    FoldersTest::SetUp();
    spec_.parameter_servers.replicas = 2;
  }
  std::unique_ptr<JobService> Server(std::int64_t index) {
    JobServiceOptions options = options_;
    options.server_index = index;
    return JobService::Create(spec_, options, clock_).value();
  }
  static void Talk(JobService& server0, JobService& server1, const std::string& boot) {
    for (int i = 0; i < 6; ++i) {
      JobService::PeerReport report = server1.OwnReport();
      report.boot = boot;
      report.url = "http://p";
      const auto reply = server0.RegisterPeer(1, report);
      if (reply.ok()) (void)server1.Restore(*reply);
    }
  }
  void InitialiseAt(JobService& server, std::size_t elements) {
    ASSERT_TRUE(server.SetLayout(server.CurrentIncarnation(), Layout()).ok());
    ASSERT_TRUE(
        server
            .SetParameters(server.CurrentIncarnation(), Buffer(std::vector<float>(elements)), {}, 0)
            .ok());
  }
  void TrainAt(JobService& server, std::int64_t epoch, std::size_t elements) {
    for (std::int64_t p = 0; p < 2; ++p) {
      UpdateHeader header = Header(epoch, p, {0, 2}, epoch);
      header.incarnation = server.CurrentIncarnation();
      const auto pushed = server.ApplyUpdate(header, Buffer(std::vector<float>(elements, 1)), {});
      ASSERT_TRUE(pushed.ok()) << pushed.status().message();
    }
  }
};

// Server 1's machine has a clock far ahead, then server 0 is started on one that is behind.
TEST_F(FoldersOfPeersTest, IncarnationsAreAboveWhatAnyServersStorageHasSeen) {
  clock_.Advance(milliseconds(3'600'000));
  auto server1 = Server(1);
  const Incarnation ahead = server1->OwnReport().newest;
  clock_.Advance(milliseconds(-7'200'000));
  auto server0 = Server(0);
  Talk(*server0, *server1, "a");
  ASSERT_TRUE(server0->Ready());
  EXPECT_GT(server0->CurrentIncarnation(), ahead);
  const Incarnation first = server0->CurrentIncarnation();
  server1 = Server(1);
  Talk(*server0, *server1, "b");
  EXPECT_GT(server0->CurrentIncarnation(), first);
  server0 = Server(0);
  Talk(*server0, *server1, "b");
  EXPECT_TRUE(server0->Ready());
  EXPECT_EQ(server0->CurrentIncarnation(), server1->CurrentIncarnation());
}

// Its workers still have to hear so, and they ask all servers.
TEST_F(FoldersOfPeersTest, AServerThatStartsWhenTheJobIsOverTakesUpItsIncarnation) {
  spec_.fit.epochs = 1;
  auto server0 = Server(0), server1 = Server(1);
  Talk(*server0, *server1, "a");
  InitialiseAt(*server0, 2);
  InitialiseAt(*server1, 1);
  TrainAt(*server1, 0, 1);
  TrainAt(*server0, 0, 2);
  server1->Shutdown();
  const Incarnation last = server0->CurrentIncarnation();
  ASSERT_TRUE(server0->FinishTask(LeaseId(1), last, Finalize(), 0, {}, {"m"}).ok());
  clock_.Advance(milliseconds(60'000));
  server1 = Server(1);
  ASSERT_GT(server1->OwnReport().newest, last);
  Talk(*server0, *server1, "b");
  EXPECT_EQ(server1->CurrentIncarnation(), last);
  EXPECT_TRUE(server0->Ready());
  EXPECT_FALSE(server1->Fenced().has_value());
}

TEST_F(FoldersOfPeersTest, AllServersContinueTheRunThatServer0Chose) {
  for (const char* uid : {"uid-1", "uid-2"}) {
    options_.uid = uid;
    clock_.Advance(milliseconds(1));
    auto server0 = Server(0), server1 = Server(1);
    Talk(*server0, *server1, "a");
    ASSERT_TRUE(server0->Ready());
    InitialiseAt(*server0, 2);
    InitialiseAt(*server1, 1);
    TrainAt(*server1, 0, 1);
    TrainAt(*server0, 0, 2);
    server1->Shutdown();
    server0->Shutdown();
  }
  // Server 1 cannot see that uid-2 is the latest.
  fs::rename(CheckpointFile(1, "uid-2"), folder_ / "aside");
  options_.uid = "uid-3";
  options_.resume = Resume::kLatest;
  {
    auto server0 = Server(0), server1 = Server(1);
    const std::string chosen = server0->OwnReport().run;
    Talk(*server0, *server1, "a");
    EXPECT_EQ(chosen, "uid-2");
    EXPECT_EQ(server1->OwnReport().run, chosen);
    EXPECT_EQ(server0->StatusJson().at("reason"), "ResumeFailed") << "not two runs mixed";
  }
}

}  // namespace
}  // namespace elephas
