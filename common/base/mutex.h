// A mutex whose use Clang checks at compile time (-Wthread-safety): a member declared
// ELEPHAS_GUARDED_BY(mutex_) is read and written only where mutex_ is held, a function declared
// ELEPHAS_REQUIRES(mutex_) is called only there. With other compilers the attributes are empty and
// the classes are std::mutex and its companions. Meaning of the attributes:
// https://clang.llvm.org/docs/ThreadSafetyAnalysis.html
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define ELEPHAS_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define ELEPHAS_THREAD_ATTRIBUTE(x)
#endif

// Of a member: what must be held to touch it; of a pointer: to touch what it points to.
#define ELEPHAS_GUARDED_BY(x) ELEPHAS_THREAD_ATTRIBUTE(guarded_by(x))
#define ELEPHAS_PT_GUARDED_BY(x) ELEPHAS_THREAD_ATTRIBUTE(pt_guarded_by(x))
// Of a mutex: the order in which several are taken.
#define ELEPHAS_ACQUIRED_BEFORE(...) ELEPHAS_THREAD_ATTRIBUTE(acquired_before(__VA_ARGS__))
#define ELEPHAS_ACQUIRED_AFTER(...) ELEPHAS_THREAD_ATTRIBUTE(acquired_after(__VA_ARGS__))
// Of a function: what its caller holds, must not hold, or holds afterwards.
#define ELEPHAS_REQUIRES(...) ELEPHAS_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define ELEPHAS_EXCLUDES(...) ELEPHAS_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ELEPHAS_ACQUIRE(...) ELEPHAS_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ELEPHAS_RELEASE(...) ELEPHAS_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define ELEPHAS_TRY_ACQUIRE(...) ELEPHAS_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define ELEPHAS_ASSERT_HELD(x) ELEPHAS_THREAD_ATTRIBUTE(assert_capability(x))
#define ELEPHAS_RETURN_CAPABILITY(x) ELEPHAS_THREAD_ATTRIBUTE(lock_returned(x))
// Where the analysis cannot follow; a comment beside it says why the use is right.
#define ELEPHAS_NO_THREAD_ANALYSIS ELEPHAS_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace elephas {

// Not recursive. lock() and unlock() have the standard's names, so that std::condition_variable_any
// (for waits that a std::stop_token ends) takes it too.
class ELEPHAS_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() ELEPHAS_ACQUIRE() { mutex_.lock(); }
  void unlock() ELEPHAS_RELEASE() { mutex_.unlock(); }
  [[nodiscard]] bool try_lock() ELEPHAS_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  // Tells the analysis what it cannot see, as in a lambda that is called under the lock. Checks
  // nothing at run time.
  void AssertHeld() const ELEPHAS_ASSERT_HELD(this) {}

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds a mutex while it lives; Unlock() gives it back before the end of the scope, Lock() takes it
// again.
class ELEPHAS_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ELEPHAS_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  // Takes over a mutex that is held already, as after try_lock().
  MutexLock(Mutex& mutex, std::adopt_lock_t) ELEPHAS_REQUIRES(mutex) : mutex_(mutex) {}
  ~MutexLock() ELEPHAS_RELEASE() {
    if (held_) mutex_.unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Unlock() ELEPHAS_RELEASE() {
    mutex_.unlock();
    held_ = false;
  }
  void Lock() ELEPHAS_ACQUIRE() {
    mutex_.lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

// std::condition_variable for a Mutex. A wait may end without a notification: callers ask their
// condition in a loop, where the analysis sees that the mutex is held. With a deadline:
//
//   while (!done_ && changed_.WaitUntil(mutex_, deadline)) {
//   }
class CondVar {
 public:
  void Wait(Mutex& mutex) ELEPHAS_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    changed_.wait(lock);
    (void)lock.release();  // the caller still holds it
  }
  // False: the time was over.
  template <typename Clock, typename Duration>
  bool WaitUntil(Mutex& mutex, const std::chrono::time_point<Clock, Duration>& deadline)
      ELEPHAS_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = changed_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    (void)lock.release();
    return in_time;
  }
  template <typename Rep, typename Period>
  bool WaitFor(Mutex& mutex, const std::chrono::duration<Rep, Period>& time)
      ELEPHAS_REQUIRES(mutex) {
    return WaitUntil(mutex, std::chrono::steady_clock::now() + time);
  }
  void NotifyOne() { changed_.notify_one(); }
  void NotifyAll() { changed_.notify_all(); }

 private:
  std::condition_variable changed_;
};

}  // namespace elephas
