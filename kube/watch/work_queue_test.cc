#include "kube/watch/work_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/base/testing/fake_clock.h"

namespace elephas::kube {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::Optional;

const ObjectName kA{"ns", "a"}, kB{"ns", "b"};

class WorkQueueTest : public testing::Test {
 protected:
  FakeClock clock_;
  WorkQueue queue_{clock_, {.jitter = 0, .seed = 1}};
};

TEST_F(WorkQueueTest, KeysComeInOrderAndOnceHoweverOftenTheyWereAdded) {
  queue_.Add(kA);
  queue_.Add(kB);
  queue_.Add(kA);
  EXPECT_THAT(queue_.TryGet(), Optional(kA));
  EXPECT_THAT(queue_.TryGet(), Optional(kB));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
}

TEST_F(WorkQueueTest, AKeyAddedWhileItIsHandledComesAgainAfterDone) {
  queue_.Add(kA);
  ASSERT_THAT(queue_.TryGet(), Optional(kA));
  queue_.Add(kA);
  queue_.Add(kA);
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
  queue_.Done(kA);
  EXPECT_THAT(queue_.TryGet(), Optional(kA));
  queue_.Done(kA);
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
}

TEST_F(WorkQueueTest, ADelayedKeyComesWhenItsTimeHasCome) {
  queue_.AddAfter(kA, milliseconds(100));
  clock_.Advance(milliseconds(99));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
  clock_.Advance(milliseconds(1));
  EXPECT_THAT(queue_.TryGet(), Optional(kA));
}

TEST_F(WorkQueueTest, OfSeveralDelaysTheShortestCountsAndTheKeyComesOnce) {
  queue_.AddAfter(kA, milliseconds(100));
  queue_.AddAfter(kA, milliseconds(50));
  queue_.AddAfter(kA, milliseconds(200));
  clock_.Advance(milliseconds(50));
  ASSERT_THAT(queue_.TryGet(), Optional(kA));
  queue_.Done(kA);
  clock_.Advance(milliseconds(500));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
}

TEST_F(WorkQueueTest, ADelayThatIsOverWhileTheKeyIsHandledWaitsForDone) {
  queue_.Add(kA);
  ASSERT_THAT(queue_.TryGet(), Optional(kA));
  queue_.AddAfter(kA, milliseconds(10));
  clock_.Advance(milliseconds(20));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
  queue_.Done(kA);
  EXPECT_THAT(queue_.TryGet(), Optional(kA));
}

// The pauses of consecutive failures.
std::vector<std::int64_t> Pauses(WorkQueue& queue, FakeClock& clock, int count) {
  std::vector<std::int64_t> pauses;
  for (int i = 0; i < count; ++i) {
    queue.AddFailed(kA);
    std::int64_t waited = 0;
    while (!queue.TryGet()) {
      clock.Advance(milliseconds(10));
      waited += 10;
    }
    queue.Done(kA);
    pauses.push_back(waited);
  }
  return pauses;
}

TEST_F(WorkQueueTest, PausesDoubleUpToTheLongestAndStartAgainAfterForget) {
  EXPECT_THAT(Pauses(queue_, clock_, 12), ElementsAre(50, 100, 200, 400, 800, 1'600, 3'200, 6'400,
                                                      12'800, 25'600, 30'000, 30'000));
  EXPECT_EQ(queue_.failures(kA), 12);
  queue_.Forget(kA);
  EXPECT_EQ(queue_.failures(kA), 0);
  EXPECT_THAT(Pauses(queue_, clock_, 1), ElementsAre(50));
}

TEST_F(WorkQueueTest, AServersRetryAfterIsWaitedFor) {
  queue_.AddFailed(kA, std::chrono::seconds(5));
  clock_.Advance(milliseconds(4'999));
  EXPECT_EQ(queue_.TryGet(), std::nullopt);
  clock_.Advance(milliseconds(1));
  EXPECT_THAT(queue_.TryGet(), Optional(kA));
}

TEST_F(WorkQueueTest, JitterAddsAtMostItsShare) {
  WorkQueue queue(clock_, {.first_pause = milliseconds(1'000), .jitter = 0.5, .seed = 7});
  for (int i = 0; i < 20; ++i) queue.AddFailed({"ns", std::to_string(i)});
  clock_.Advance(milliseconds(999));
  EXPECT_EQ(queue.TryGet(), std::nullopt);
  clock_.Advance(milliseconds(250));
  std::size_t early = 0;
  while (queue.TryGet()) ++early;
  EXPECT_GT(early, 0U);
  EXPECT_LT(early, 20U);
  clock_.Advance(milliseconds(251));
  while (queue.TryGet()) ++early;
  EXPECT_EQ(early, 20U);
}

TEST_F(WorkQueueTest, ShutDownWakesWhoWaitsAndTakesNothingMore) {
  std::optional<ObjectName> got = kA;
  std::jthread waiter([&] { got = queue_.Get(); });
  queue_.ShutDown();
  waiter.join();
  EXPECT_EQ(got, std::nullopt);
  queue_.Add(kA);
  EXPECT_EQ(queue_.Get(), std::nullopt);
}

TEST_F(WorkQueueTest, AnObserverSeesDepthLatencyAndRetries) {
  struct Recorder final : ClientObserver {
    void QueueDepth(std::string_view queue, std::size_t depth) override {
      EXPECT_EQ(queue, "jobs");
      deepest = std::max(deepest, depth);
    }
    void QueueLatency(std::string_view, double seconds) override { latencies.push_back(seconds); }
    void QueueRetry(std::string_view) override { ++retries; }
    std::size_t deepest = 0;
    std::vector<double> latencies;
    int retries = 0;
  } recorder;
  WorkQueue queue(clock_, {}, recorder);
  queue.Add(kA);
  queue.Add(kB);
  clock_.Advance(milliseconds(1'500));
  queue.TryGet();
  queue.AddFailed(kA);
  EXPECT_EQ(recorder.deepest, 2U);
  EXPECT_THAT(recorder.latencies, ElementsAre(1.5));
  EXPECT_EQ(recorder.retries, 1);
}

TEST(WorkQueueThreadsTest, NoKeyIsEverHandledTwiceAtOnceAndNoneIsLost) {
  constexpr int kKeys = 5, kRounds = 200;
  const SystemClock clock;
  WorkQueue queue(clock);
  std::array<std::atomic<int>, kKeys> busy{}, seen{}, wanted{};
  std::atomic<bool> overlap = false;
  std::vector<std::jthread> workers;
  for (int w = 0; w < 3; ++w) {
    workers.emplace_back([&] {
      while (const auto key = queue.Get()) {
        const auto i = static_cast<std::size_t>(std::stoi(key->name));
        if (++busy.at(i) > 1) overlap = true;
        seen.at(i) = wanted.at(i).load();
        --busy.at(i);
        queue.Done(*key);
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kKeys; ++i) {
      ++wanted.at(i);
      queue.Add({"ns", std::to_string(i)});
    }
  }
  const auto all_seen = [&] {
    for (std::size_t i = 0; i < kKeys; ++i) {
      if (seen.at(i) != kRounds) return false;
    }
    return true;
  };
  while (!all_seen()) std::this_thread::yield();
  queue.ShutDown();
  workers.clear();
  EXPECT_FALSE(overlap);
}

}  // namespace
}  // namespace elephas::kube
