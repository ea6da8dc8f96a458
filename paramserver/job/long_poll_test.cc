#include "paramserver/job/long_poll.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/base/testing/fake_clock.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;

std::optional<Clock::TimePoint> Never() { return std::nullopt; }

class LongPollTest : public testing::Test {
 protected:
  Mutex mutex_;
  CondVar changed_;
  FakeClock clock_;
};

TEST_F(LongPollTest, AsksOnceWithoutTime) {
  int asked = 0;
  const MutexLock lock(mutex_);
  const auto answer = LongPoll(
      mutex_, changed_, clock_, milliseconds(0),
      [&] {
        ++asked;
        return std::optional<int>();
      },
      Never);
  EXPECT_FALSE(answer);
  EXPECT_EQ(asked, 1);
}

TEST_F(LongPollTest, AnswersWhenSomethingChanges) {
  bool there = false;
  std::thread other;
  const MutexLock lock(mutex_);
  const auto answer = LongPoll(
      mutex_, changed_, clock_, std::chrono::minutes(5),
      [&]() -> std::optional<int> {
        if (there) return 7;
        if (!other.joinable()) {
          other = std::thread([&] {
            const MutexLock change(mutex_);
            there = true;
            changed_.NotifyAll();
          });
        }
        return std::nullopt;
      },
      Never);
  other.join();
  EXPECT_EQ(answer, 7);
}

TEST_F(LongPollTest, AsksAgainWhenTimeChangesSomething) {
  int asked = 0;
  const MutexLock lock(mutex_);
  const auto answer = LongPoll(
      mutex_, changed_, clock_, std::chrono::minutes(5),
      [&]() -> std::optional<int> {
        if (++asked == 3) return asked;
        return std::nullopt;
      },
      [&] { return std::optional(clock_.Now()); });
  EXPECT_EQ(answer, 3);
}

}  // namespace
}  // namespace elephas
