#include "common/base/mutex.h"

#include <gtest/gtest.h>

#include <thread>

namespace elephas {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// Asks on a thread of its own: what try_lock says to the thread that holds the mutex is undefined.
bool FreeForOthers(Mutex& mutex) {
  bool free = false;
  std::thread other([&] {
    if (!mutex.try_lock()) return;
    free = true;
    mutex.unlock();
  });
  other.join();
  return free;
}

TEST(Mutex, TryLockTakesAFreeOneOnly) {
  Mutex mutex;
  EXPECT_TRUE(FreeForOthers(mutex));
  mutex.lock();
  EXPECT_FALSE(FreeForOthers(mutex));
  mutex.unlock();
  EXPECT_TRUE(FreeForOthers(mutex));
}

TEST(MutexLock, HoldsTheMutexUntilItsScopeEnds) {
  Mutex mutex;
  {
    const MutexLock lock(mutex);
    EXPECT_FALSE(FreeForOthers(mutex));
  }
  EXPECT_TRUE(FreeForOthers(mutex));
}

TEST(MutexLock, GivesTheMutexBackEarlyAndTakesItAgain) {
  Mutex mutex;
  {
    MutexLock lock(mutex);
    lock.Unlock();
    EXPECT_TRUE(FreeForOthers(mutex));
    lock.Lock();
    EXPECT_FALSE(FreeForOthers(mutex));
  }
  EXPECT_TRUE(FreeForOthers(mutex));
  {
    MutexLock lock(mutex);
    lock.Unlock();
  }  // does not give it back twice
  EXPECT_TRUE(FreeForOthers(mutex));
}

TEST(MutexLock, TakesOverWhatTryLockHasTaken) {
  Mutex mutex;
  if (!mutex.try_lock()) FAIL() << "nobody holds it";
  {
    const MutexLock lock(mutex, std::adopt_lock);
    EXPECT_FALSE(FreeForOthers(mutex));
  }
  EXPECT_TRUE(FreeForOthers(mutex));
}

struct Turns {
  Mutex mutex;
  CondVar changed;
  int turn ELEPHAS_GUARDED_BY(mutex) = 0;

  void Await(int wanted) ELEPHAS_REQUIRES(mutex) {
    while (turn != wanted) changed.Wait(mutex);
  }
};

// Each waits for the other: this ends only when a wait gives the mutex back and a notification ends
// it.
TEST(CondVar, ANotificationEndsAWait) {
  Turns turns;
  std::thread other([&turns] {
    const MutexLock lock(turns.mutex);
    turns.Await(1);
    turns.turn = 2;
    turns.changed.NotifyOne();
  });
  {
    const MutexLock lock(turns.mutex);
    turns.turn = 1;
    turns.changed.NotifyAll();
    turns.Await(2);
    EXPECT_EQ(turns.turn, 2);
    EXPECT_FALSE(FreeForOthers(turns.mutex));
  }
  other.join();
}

TEST(CondVar, AWaitWithATimeIsEndedByANotification) {
  Turns turns;
  std::thread other([&turns] {
    const MutexLock lock(turns.mutex);
    turns.turn = 1;
    turns.changed.NotifyAll();
  });
  {
    const MutexLock lock(turns.mutex);
    const auto deadline = SteadyClock::now() + std::chrono::hours(24);
    while (turns.turn != 1) EXPECT_TRUE(turns.changed.WaitUntil(turns.mutex, deadline));
  }
  other.join();
}

TEST(CondVar, AWaitSaysFalseAtItsDeadlineAndHoldsTheMutexAgain) {
  Mutex mutex;
  CondVar never_notified;
  const MutexLock lock(mutex);
  const auto deadline = SteadyClock::now() + milliseconds(20);
  while (never_notified.WaitUntil(mutex, deadline)) {
  }
  EXPECT_GE(SteadyClock::now(), deadline);
  EXPECT_FALSE(FreeForOthers(mutex));
  while (never_notified.WaitFor(mutex, milliseconds(1))) {
  }
  EXPECT_FALSE(FreeForOthers(mutex));
}

}  // namespace
}  // namespace elephas
