// Thousands of random interleavings of workers, servers, crashes, lost replies and late pushes,
// each reproducible from its seed. Whatever happens, at the end every example of every epoch has
// been applied exactly once; in synchronous mode the parameters are the same bits as undisturbed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/base/testing/fake_clock.h"
#include "paramserver/testing/simulated_job.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// What may go wrong. Chances of each turn, out of 1000.
struct Weather {
  std::uint64_t worker_crash = 0;
  std::uint64_t server_crash = 0;
  std::uint64_t freeze = 0;      // a worker stands still until its leases are long gone
  std::uint64_t ghost = 0;       // a call of a former process is answered late
  std::uint64_t lose_cut = 0;    // with a crash: the newest checkpoint was not whole, percent
  std::uint64_t lost_reply = 0;  // percent of calls
  std::uint64_t repeated_push = 0;
};

constexpr Weather kCalm{};
constexpr Weather kWorkersDie{
    .worker_crash = 15, .freeze = 25, .lost_reply = 3, .repeated_push = 30};
constexpr Weather kServersDie{.server_crash = 8, .lose_cut = 20, .repeated_push = 10};
constexpr Weather kStorm{.worker_crash = 10,
                         .server_crash = 3,
                         .freeze = 10,
                         .ghost = 10,
                         .lose_cut = 20,
                         .lost_reply = 5,
                         .repeated_push = 30};

// What did go wrong, so that a test knows it was one.
struct Damage {
  int worker_crashes = 0, server_crashes = 0, freezes = 0, restored = 0;
  std::int64_t duplicates = 0;
};

class Simulation {
 public:
  Simulation(const Scenario& scenario, const Weather& weather, std::uint64_t seed,
             const std::string& folder)
      : scenario_(scenario),
        weather_(weather),
        random_(seed),
        cluster_(scenario, clock_, folder),
        down_(static_cast<std::size_t>(scenario.servers)) {
    const Faults faults{.lost_reply = weather.lost_reply, .repeated_push = weather.repeated_push};
    for (std::int64_t i = 0; i < scenario.workers; ++i) {
      workers_.push_back({std::make_unique<SimulatedWorker>(
          cluster_, "w" + std::to_string(i), random_.Next(), faults, milliseconds(0))});
    }
  }

  // False when the job did not end.
  bool Run() {
    constexpr int kTurns = 60000;
    constexpr int kBadWeather = 1500;  // then it clears up, so that every run ends
    for (int turn = 0; turn < kTurns; ++turn) {
      if (std::ranges::none_of(workers_, &Process::running)) return true;
      if (turn == kBadWeather) ClearUp();
      if (turn < kBadWeather && SomethingGoesWrong()) continue;
      if (random_.Below(100) < 20) clock_.Advance(milliseconds(random_.Below(120)));
      const auto server = static_cast<std::int64_t>(random_.Below(down_.size()));
      if (random_.Below(100) < 10 && down_[static_cast<std::size_t>(server)]) Boot(server);
      if (server > 0 && random_.Below(100) < 30) cluster_.TalkToServer0(server);

      Process& process = workers_[random_.Below(workers_.size())];
      if (process.frozen > 0) {
        --process.frozen;
        continue;
      }
      if (process.running && random_.Below(100) < 15) process.worker->Heartbeat();
      if (process.running) process.running = process.worker->Step();
      if (!process.worker->trouble().empty()) return false;
    }
    return false;
  }

  [[nodiscard]] std::string Trouble() const {
    std::string all;
    for (const Process& process : workers_) all += process.worker->trouble();
    return all.empty() ? "the job did not end" : all;
  }
  [[nodiscard]] SimulatedCluster& cluster() { return cluster_; }
  [[nodiscard]] Damage damage() const {
    Damage damage = damage_;
    for (const Process& process : workers_) damage.duplicates += process.worker->duplicates();
    return damage;
  }

 private:
  struct Process {
    std::unique_ptr<SimulatedWorker> worker;
    int frozen = 0;
    bool running = true;
  };

  bool SomethingGoesWrong() {
    const std::uint64_t dice = random_.Below(1000);
    std::uint64_t edge = 0;
    const auto falls_on = [&](std::uint64_t share) { return dice < (edge += share); };
    Process& process = workers_[random_.Below(workers_.size())];
    if (falls_on(weather_.worker_crash)) {
      process.worker->Crash();
      ++damage_.worker_crashes;
    } else if (falls_on(weather_.server_crash)) {
      const auto server = random_.Below(down_.size());
      if (down_[server]) return false;
      cluster_.Kill(static_cast<std::int64_t>(server));
      down_[server] = true;
      ++damage_.server_crashes;
      if (random_.Below(100) < weather_.lose_cut) {
        cluster_.LoseNewestCheckpoint(static_cast<std::int64_t>(server));
      }
    } else if (falls_on(weather_.freeze)) {
      process.frozen = static_cast<int>(random_.Below(60));
      ++damage_.freezes;
      if (random_.Below(2) == 0) clock_.Advance(scenario_.lease_duration + milliseconds(1));
    } else if (falls_on(weather_.ghost)) {
      process.worker->GhostOfALease();
    } else {
      return false;
    }
    return true;
  }

  void Boot(std::int64_t server) {
    clock_.Advance(milliseconds(1));  // no process starts twice in a millisecond
    cluster_.Boot(server);
    down_[static_cast<std::size_t>(server)] = false;
  }

  void ClearUp() {
    for (std::size_t i = 0; i < down_.size(); ++i) {
      if (down_[i]) Boot(static_cast<std::int64_t>(i));
    }
    for (Process& process : workers_) {
      process.frozen = 0;
      process.worker->set_faults({});
    }
  }

  const Scenario scenario_;
  const Weather weather_;
  SplitMix64 random_;
  FakeClock clock_;
  SimulatedCluster cluster_;
  std::vector<bool> down_;
  std::vector<Process> workers_;
  Damage damage_;
};

class SimulationTest : public testing::Test {
 protected:
  void SetUp() override {
    // In memory where there is such a place: fsync would take most of the time.
    const fs::path base = fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
    std::string pattern = (base / "elephas-simulation-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Runs the scenario once per seed; returns the parameters of the last run.
  std::vector<float> Survives(const Scenario& scenario, const Weather& weather, int runs) {
    std::vector<float> last;
    for (int run = 0; run < runs && !HasFailure(); ++run) {
      const auto seed = static_cast<std::uint64_t>(run) + 1;
      SCOPED_TRACE(ToString(scenario) + ", seed " + std::to_string(seed));
      const std::string folder = folder_ + "/" + std::to_string(++runs_);
      Simulation simulation(scenario, weather, seed, folder);
      EXPECT_TRUE(simulation.Run()) << simulation.Trouble();
      if (HasFailure()) {
        if (const auto server = simulation.cluster().Server(0))
          ADD_FAILURE() << server->StatusJson().dump(1);
        break;
      }
      Count(simulation);
      CheckHistory(scenario, simulation.cluster());
      const std::optional<ModelState> result = simulation.cluster().result();
      if (!result) {
        ADD_FAILURE() << "nobody finalized";
        break;
      }
      if (!scenario.chaotic) {
        EXPECT_EQ(result->parameters, ExactlyOnce(scenario));
      } else if (!last.empty()) {
        EXPECT_EQ(result->parameters, last);
      }
      last = result->parameters;
    }
    return last;
  }

 private:
  static void CheckHistory(const Scenario& scenario, SimulatedCluster& cluster) {
    nlohmann::json history = cluster.Server(0)->HistoryJson();
    history.erase("seconds");
    EXPECT_EQ(history, ExpectedHistory(scenario));
  }

  void Count(Simulation& simulation) {
    const Damage damage = simulation.damage();
    damage_.worker_crashes += damage.worker_crashes;
    damage_.server_crashes += damage.server_crashes;
    damage_.freezes += damage.freezes;
    damage_.duplicates += damage.duplicates;
    const nlohmann::json status = simulation.cluster().Server(0)->StatusJson();
    for (const auto& event : status.at("events")) {
      damage_.restored += event.at("reason") == "Restored" ? 1 : 0;
    }
  }

 protected:
  Damage damage_;  // of all runs

 private:
  std::string folder_;
  int runs_ = 0;
};

struct Case {
  std::string name;
  Scenario scenario;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

std::vector<Case> AllModes() {
  std::vector<Case> cases;
  const auto add = [&](std::string name, Mode mode, Frequency frequency) {
    Scenario scenario;
    scenario.mode = mode;
    scenario.frequency = frequency;
    cases.push_back({std::move(name), scenario});
  };
  add("AsynchronousBatch", Mode::kAsynchronous, Frequency::kBatch);
  add("AsynchronousEpoch", Mode::kAsynchronous, Frequency::kEpoch);
  add("HogwildBatch", Mode::kHogwild, Frequency::kBatch);
  add("HogwildEpoch", Mode::kHogwild, Frequency::kEpoch);
  add("SynchronousBatch", Mode::kSynchronous, Frequency::kBatch);
  add("SynchronousEpoch", Mode::kSynchronous, Frequency::kEpoch);
  add("SynchronousFit", Mode::kSynchronous, Frequency::kFit);
  return cases;
}

class EveryMode : public SimulationTest, public testing::WithParamInterface<Case> {};

INSTANTIATE_TEST_SUITE_P(, EveryMode, testing::ValuesIn(AllModes()),
                         [](const auto& each) { return each.param.name; });

TEST_P(EveryMode, AppliesEveryExampleOnceForAnyNumberOfWorkersPartitionsAndServers) {
  for (const std::int64_t workers : {1, 2, 5}) {
    for (const std::int64_t servers : {1, 2, 3}) {
      for (const std::int64_t partitions : {1, 2, 8}) {
        Scenario scenario = GetParam().scenario;
        scenario.workers = workers;
        scenario.servers = servers;
        scenario.partitions = partitions;
        scenario.epochs = 3;
        Survives(scenario, kCalm, 3);
      }
    }
  }
}

TEST_P(EveryMode, TakesPartitionsThatAreEmptyOrSmallerThanABatch) {
  Scenario scenario = GetParam().scenario;
  scenario.training_rows = 4;  // powers of two keep the synchronous means exact
  scenario.partitions = 7;
  scenario.batch_size = 3;
  for (const std::int64_t servers : {1, 2, 3}) {
    scenario.servers = servers;
    Survives(scenario, kWorkersDie, 10);
  }
}

TEST_P(EveryMode, SurvivesWorkersThatDieOrAreLate) {
  for (const std::int64_t servers : {1, 2, 3}) {
    Scenario scenario = GetParam().scenario;
    scenario.servers = servers;
    scenario.epochs = 3;
    Survives(scenario, kWorkersDie, 200);
  }
  EXPECT_GT(damage_.worker_crashes, 600);
  EXPECT_GT(damage_.freezes, 300);
  EXPECT_GT(damage_.duplicates, 100);
}

TEST_P(EveryMode, SurvivesServersThatStartFromNothing) {
  for (const std::int64_t servers : {1, 2, 3}) {
    Scenario scenario = GetParam().scenario;
    scenario.servers = servers;
    Survives(scenario, kServersDie, 200);
  }
  EXPECT_GT(damage_.server_crashes, 200);
}

TEST_P(EveryMode, SurvivesServersThatContinueFromCheckpoints) {
  for (const std::int64_t servers : {1, 2, 3}) {
    Scenario scenario = GetParam().scenario;
    scenario.servers = servers;
    scenario.checkpoints = true;
    scenario.epochs = 4;
    Survives(scenario, kServersDie, 60);
  }
  EXPECT_GT(damage_.server_crashes, 60);
  EXPECT_GT(damage_.restored, 3);
}

TEST_P(EveryMode, SurvivesEverythingAtOnceWithValidation) {
  for (const std::int64_t servers : {1, 2, 3}) {
    Scenario scenario = GetParam().scenario;
    scenario.servers = servers;
    scenario.checkpoints = true;
    scenario.epochs = 4;
    scenario.validation_rows = 5;
    Survives(scenario, kStorm, 60);
  }
  EXPECT_GT(damage_.worker_crashes, 200);
  EXPECT_GT(damage_.server_crashes, 60);
  EXPECT_GT(damage_.restored, 10);
}

class Synchronous : public EveryMode {};

INSTANTIATE_TEST_SUITE_P(, Synchronous, testing::ValuesIn([] {
                           std::vector<Case> cases = AllModes();
                           std::erase_if(
                               cases, [](const Case& one) { return !one.scenario.synchronous(); });
                           return cases;
                         }()),
                         [](const auto& each) { return each.param.name; });

TEST_P(Synchronous, EndsWithTheSameBitsWhateverHappens) {
  Scenario scenario = GetParam().scenario;
  scenario.chaotic = true;
  scenario.training_rows = 23;
  scenario.partitions = 5;
  scenario.batch_size = 3;
  scenario.epochs = 3;
  scenario.workers = 1;
  const std::vector<float> undisturbed = Survives(scenario, kCalm, 1);
  ASSERT_FALSE(undisturbed.empty());
  for (const std::int64_t workers : {2, 5}) {
    for (const std::int64_t servers : {1, 2, 3}) {
      scenario.workers = workers;
      scenario.servers = servers;
      scenario.checkpoints = false;
      EXPECT_EQ(Survives(scenario, kCalm, 3), undisturbed);
      EXPECT_EQ(Survives(scenario, kWorkersDie, 20), undisturbed);
      scenario.checkpoints = true;
      EXPECT_EQ(Survives(scenario, kStorm, 15), undisturbed);
    }
  }
}

}  // namespace
}  // namespace elephas
