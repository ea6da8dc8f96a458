// The same jobs as in job_service_simulation_test.cc with real threads and a real clock: what a
// lock would have to protect is at stake here, above all under the thread sanitizer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "paramserver/testing/simulated_job.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// Between the turns of loops that run beside the job; without it they would keep its locks.
constexpr milliseconds kOnceInAWhile{1};

struct Case {
  std::string name;
  Mode mode;
  Frequency frequency;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

class ThreadsTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const fs::path base = fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
    std::string pattern = (base / "elephas-threads-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    scenario_.mode = GetParam().mode;
    scenario_.frequency = GetParam().frequency;
    scenario_.workers = 4;
    scenario_.partitions = 8;
    scenario_.training_rows = 64;
    scenario_.epochs = 30;
    scenario_.lease_duration = milliseconds(100);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Runs the job; meanwhile workers die with `crash` in 1000 steps, and servers `kills` times.
  void Run(std::uint64_t crash, int kills) {
    SCOPED_TRACE(ToString(scenario_));
    const SystemClock clock;
    SimulatedCluster cluster(scenario_, clock, folder_);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    std::atomic<std::int64_t> running = scenario_.workers;
    std::atomic<bool> in_time = true;
    const auto go_on = [&] {
      if (std::chrono::steady_clock::now() > deadline) in_time = false;
      return running > 0 && in_time;
    };

    std::vector<std::string> troubles(static_cast<std::size_t>(scenario_.workers));
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < troubles.size(); ++i) {
        threads.emplace_back([&, i] {
          SplitMix64 random(i);
          const Faults faults{.lost_reply = crash > 0 ? 1U : 0U, .repeated_push = 10};
          SimulatedWorker worker(cluster, "w" + std::to_string(i), i, faults, milliseconds(10));
          while (worker.Step() && worker.trouble().empty() && go_on()) {
            if (random.Below(1000) < crash) worker.Crash();
            std::this_thread::yield();
          }
          troubles[i] = worker.trouble();
          --running;
        });
      }
      for (std::int64_t k = 1; k < scenario_.servers; ++k) {
        threads.emplace_back([&, k] {
          while (go_on()) {
            cluster.TalkToServer0(k);
            std::this_thread::sleep_for(kOnceInAWhile);
          }
        });
      }
      // Somebody always looks on.
      threads.emplace_back([&] {
        while (go_on()) {
          if (const auto service = cluster.Server(0)) {
            (void)service->StatusJson();
            (void)service->HistoryJson();
          }
          std::this_thread::sleep_for(kOnceInAWhile);
        }
      });
      SplitMix64 random(42);
      for (int kill = 0; kill < kills && go_on(); ++kill) {
        // After some progress, so that there is something to lose.
        const auto victim =
            static_cast<std::int64_t>(random.Below(static_cast<std::uint64_t>(scenario_.servers)));
        WaitForProgress(cluster, go_on);
        cluster.Kill(victim);
        cluster.Boot(victim);
        ++killed_;
      }
    }
    ASSERT_TRUE(in_time) << "the job did not end: " << cluster.Server(0)->StatusJson().dump(1);
    for (const std::string& trouble : troubles) EXPECT_EQ(trouble, "");
    nlohmann::json history = cluster.Server(0)->HistoryJson();
    history.erase("seconds");
    EXPECT_EQ(history, ExpectedHistory(scenario_));
    ASSERT_TRUE(cluster.result());
    EXPECT_EQ(cluster.result()->parameters, ExactlyOnce(scenario_));
  }

  Scenario scenario_;
  int killed_ = 0;

 private:
  template <typename GoOn>
  void WaitForProgress(SimulatedCluster& cluster, const GoOn& go_on) {
    while (go_on()) {
      const nlohmann::json status = cluster.Server(0)->StatusJson();
      if (status.at("epoch") > 0 || status.at("examples") > 20) return;
      std::this_thread::sleep_for(kOnceInAWhile);
    }
  }

  std::string folder_;
};

INSTANTIATE_TEST_SUITE_P(
    , ThreadsTest,
    testing::Values(Case{"AsynchronousBatch", Mode::kAsynchronous, Frequency::kBatch},
                    Case{"AsynchronousEpoch", Mode::kAsynchronous, Frequency::kEpoch},
                    Case{"HogwildBatch", Mode::kHogwild, Frequency::kBatch},
                    Case{"HogwildEpoch", Mode::kHogwild, Frequency::kEpoch},
                    Case{"SynchronousBatch", Mode::kSynchronous, Frequency::kBatch},
                    Case{"SynchronousEpoch", Mode::kSynchronous, Frequency::kEpoch},
                    Case{"SynchronousFit", Mode::kSynchronous, Frequency::kFit}),
    [](const auto& each) { return each.param.name; });

TEST_P(ThreadsTest, ManyWorkersOnOneServer) {
  scenario_.validation_rows = 10;
  Run(0, 0);
}

TEST_P(ThreadsTest, WorkersThatDieOnThreeServers) {
  scenario_.servers = 3;
  Run(20, 0);
}

TEST_P(ThreadsTest, AServerThatIsKilledAndContinues) {
  scenario_.checkpoints = true;
  Run(5, 3);
  EXPECT_GT(killed_, 0);
}

TEST_P(ThreadsTest, ServersThatAreKilledAndContinueTogether) {
  scenario_.servers = 2;
  scenario_.checkpoints = true;
  Run(5, 3);
  EXPECT_GT(killed_, 0);
}

}  // namespace
}  // namespace elephas
