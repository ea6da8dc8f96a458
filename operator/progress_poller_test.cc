#include "operator/progress_poller.h"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <set>
#include <stdexcept>
#include <thread>

#include "common/base/mutex.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Servers that answer what the test says; it waits for what was asked and who was woken.
class Servers {
 public:
  ProgressPoller::Send Send() {
    return [this](const ServerAddress& address, const char* method,
                  const std::string& target) -> Result<std::string> {
      const MutexLock lock(mutex_);
      asked_.insert(std::string(method) + " " + address.url + target);
      changed_.NotifyAll();
      const auto found = answers_.find(address.url);
      if (found == answers_.end()) return Unavailable("no connection");
      return found->second;
    };
  }
  ProgressPoller::Wake Wake() {
    return [this](const kube::ObjectName& job) {
      const MutexLock lock(mutex_);
      ++woken_[job.name];
      changed_.NotifyAll();
    };
  }
  void Answer(const std::string& url, const std::string& body) {
    const MutexLock lock(mutex_);
    answers_[url] = body;
  }
  bool Asked(const std::string& what) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    while (!asked_.contains(what) && changed_.WaitUntil(mutex_, deadline)) {
    }
    return asked_.contains(what);
  }
  bool Woken(const std::string& job, int times) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    while (woken_[job] < times && changed_.WaitUntil(mutex_, deadline)) {
    }
    return woken_[job] >= times;
  }
  int TimesWoken(const std::string& job) {
    const MutexLock lock(mutex_);
    return woken_[job];
  }
  void ForgetAsked() {
    const MutexLock lock(mutex_);
    asked_.clear();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, std::string> answers_ ELEPHAS_GUARDED_BY(mutex_);
  std::multiset<std::string> asked_ ELEPHAS_GUARDED_BY(mutex_);
  std::map<std::string, int> woken_ ELEPHAS_GUARDED_BY(mutex_);
};

const ProgressPoller::Options kFast{.threads = 2, .interval = milliseconds(1), .per_second = 1e6};

TEST(ProgressPoller, AJobIsWokenWhenItsProgressChanges) {
  Servers servers;
  servers.Answer("http://a", R"({"state": "Running", "epoch": 1})");
  ProgressPoller poller(kFast, servers.Send(), servers.Wake());
  EXPECT_FALSE(poller.Latest("u"));
  poller.Follow("u", {"default", "digits"}, {"http://a", "t"});
  ASSERT_TRUE(servers.Woken("digits", 1));
  EXPECT_EQ(poller.Latest("u")->epoch, 1);
  // The same again wakes nobody.
  for (int i = 0; i < 3; ++i) {
    servers.ForgetAsked();
    ASSERT_TRUE(servers.Asked("GET http://a/v1/status?brief=true"));
  }
  EXPECT_EQ(servers.TimesWoken("digits"), 1);
  servers.Answer("http://a", R"({"state": "Running", "epoch": 2})");
  ASSERT_TRUE(servers.Woken("digits", 2));
  EXPECT_EQ(poller.Latest("u")->epoch, 2);
}

TEST(ProgressPoller, WhatWasToldLastStaysWhileAServerIsAway) {
  Servers servers;
  servers.Answer("http://a", R"({"state": "Running", "epoch": 1})");
  ProgressPoller poller(kFast, servers.Send(), servers.Wake());
  poller.Follow("u", {"default", "digits"}, {"http://a", "t"});
  ASSERT_TRUE(servers.Woken("digits", 1));
  servers.Answer("http://a", "not JSON");
  servers.ForgetAsked();
  ASSERT_TRUE(servers.Asked("GET http://a/v1/status?brief=true"));
  EXPECT_EQ(poller.Latest("u")->epoch, 1);
  poller.Pause("u");
  EXPECT_EQ(poller.Latest("u")->epoch, 1);
  poller.Forget("u");
  EXPECT_FALSE(poller.Latest("u"));
}

TEST(ProgressPoller, AServerThatMovedIsAskedAtItsNewAddress) {
  Servers servers;
  ProgressPoller poller({.threads = 1, .interval = seconds(3600)}, servers.Send(), servers.Wake());
  poller.Follow("u", {"default", "digits"}, {"http://a", "t"});
  ASSERT_TRUE(servers.Asked("GET http://a/v1/status?brief=true"));
  poller.Follow("u", {"default", "digits"}, {"http://b", "t"});
  EXPECT_TRUE(servers.Asked("GET http://b/v1/status?brief=true"));
}

TEST(ProgressPoller, AServerThatMovesWhileItIsAskedIsAskedAtItsNewAddress) {
  Servers servers;
  std::binary_semaphore asked(0);
  std::binary_semaphore may_answer(0);
  std::atomic<bool> first = true;
  const auto send = servers.Send();
  ProgressPoller poller(
      {.threads = 1, .interval = seconds(3600)},
      [&](const ServerAddress& address, const char* method, const std::string& target) {
        auto answer = send(address, method, target);
        if (first.exchange(false)) {
          asked.release();
          may_answer.acquire();
        }
        return answer;
      },
      servers.Wake());
  servers.Answer("http://a", R"({"state": "Running", "epoch": 7})");
  servers.Answer("http://b", R"({"state": "Running", "epoch": 1})");
  poller.Follow("u", {"default", "digits"}, {"http://a", "t"});
  asked.acquire();
  poller.Follow("u", {"default", "digits"}, {"http://b", "t"});
  may_answer.release();
  ASSERT_TRUE(servers.Woken("digits", 1));
  EXPECT_EQ(poller.Latest("u")->epoch, 1);  // not what the old one said
}

TEST(ProgressPoller, LeasesOfADeadWorkerAreGivenBack) {
  Servers servers;
  ProgressPoller poller(kFast, servers.Send(), servers.Wake());
  poller.GiveBack("u", {"default", "digits"}, {"http://a", "t"}, "digits-worker-1");
  EXPECT_TRUE(servers.Asked("DELETE http://a/v1/workers/digits-worker-1"));
}

// --- servers that are slow on purpose --------------------------------------------------------

// Those called "http://slow…" answer nothing until the test ends or `slow_for` is over.
class SlowServers {
 public:
  explicit SlowServers(milliseconds slow_for) : slow_for_(slow_for) {}
  ProgressPoller::Send Send() {
    return [this](const ServerAddress& address, const char*,
                  const std::string&) -> Result<std::string> {
      const MutexLock lock(mutex_);
      ++asked_[address.url];
      changed_.NotifyAll();
      if (!address.url.starts_with("http://slow")) return std::string(R"({"state": "Running"})");
      const auto deadline = std::chrono::steady_clock::now() + slow_for_;
      while (!stop_ && changed_.WaitUntil(mutex_, deadline)) {
      }
      return Timeout("no progress on the connection");
    };
  }
  void Stop() {
    const MutexLock lock(mutex_);
    stop_ = true;
    changed_.NotifyAll();
  }
  bool Asked(const std::string& url, int times) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + seconds(60);
    while (asked_[url] < times && changed_.WaitUntil(mutex_, deadline)) {
    }
    return asked_[url] >= times;
  }
  int Times(const std::string& url) {
    const MutexLock lock(mutex_);
    return asked_[url];
  }

 private:
  const milliseconds slow_for_;
  Mutex mutex_;
  CondVar changed_;
  bool stop_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::map<std::string, int> asked_ ELEPHAS_GUARDED_BY(mutex_);
};

const ProgressPoller::Options kFair{.threads = 4,
                                    .threads_per_namespace = 2,
                                    .threads_for_slow = 2,
                                    .interval = milliseconds(1),
                                    .longest_interval = seconds(3600),
                                    .slow = milliseconds(5),
                                    .per_second = 1e6};

TEST(ProgressPoller, ANamespaceWhoseServersNeverAnswerDoesNotStopTheOthers) {
  SlowServers servers(seconds(3600));
  {
    ProgressPoller poller(kFair, servers.Send(), [](const auto&) {});
    for (int i = 0; i < 50; ++i) {
      const std::string id = "slow-" + std::to_string(i);
      poller.Follow(id, {"bad", id}, {"http://" + id, "t"});
      poller.GiveBack(id, {"bad", id}, {"http://" + id, "t"}, "w");
    }
    poller.Follow("good", {"good", "digits"}, {"http://good", "t"});
    EXPECT_TRUE(servers.Asked("http://good", 100));
    servers.Stop();
  }
}

TEST(ProgressPoller, SlowServersOfTheSameNamespaceAreAskedLessAndLess) {
  SlowServers servers(milliseconds(20));
  ProgressPoller poller(kFair, servers.Send(), [](const auto&) {});
  for (int i = 0; i < 8; ++i) {
    const std::string id = "slow-" + std::to_string(i);
    poller.Follow(id, {"ns", id}, {"http://" + id, "t"});
  }
  poller.Follow("good", {"ns", "digits"}, {"http://good", "t"});
  ASSERT_TRUE(servers.Asked("http://good", 1'000));
  for (int i = 0; i < 8; ++i) {
    // With a pause that doubles from 2 ms on: about log2 of the time that has passed.
    EXPECT_LT(servers.Times("http://slow-" + std::to_string(i)), 100);
  }
}

TEST(ProgressPoller, AServerThatIsQuickAgainIsAskedAsOftenAsTheOthers) {
  std::atomic<int> asked = 0;
  ProgressPoller poller(
      {.threads = 2,
       .interval = milliseconds(1),
       .longest_interval = milliseconds(20),
       .slow = milliseconds(5),
       .per_second = 1e6},
      [&](const ServerAddress&, const char*, const std::string&) -> Result<std::string> {
        if (++asked < 3) std::this_thread::sleep_for(milliseconds(20));
        return std::string(R"({"state": "Running"})");
      },
      [](const auto&) {});
  poller.Follow("u", {"ns", "digits"}, {"http://a", "t"});
  const auto end = std::chrono::steady_clock::now() + seconds(60);
  while (asked < 100 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_GE(asked, 100);
}

TEST(ProgressPoller, WhatASendOrAWakeThrowsIsCountedAndTheNextIsAsked) {
  struct Counter final : kube::ClientObserver {
    void Panicked(std::string_view where) override {
      if (where == "poll") ++polls;
      if (where == "give-back") ++give_backs;
    }
    std::atomic<int> polls = 0, give_backs = 0;
  } counter;
  Servers servers;
  servers.Answer("http://good", R"({"state": "Running", "epoch": 1})");
  const auto send = servers.Send();
  {
    ProgressPoller poller(
        kFast,
        [&](const ServerAddress& address, const char* method, const std::string& target) {
          if (address.url == "http://bad") throw std::runtime_error("a defect");
          return send(address, method, target);
        },
        [&, wake = servers.Wake()](const kube::ObjectName& job) {
          wake(job);
          throw std::runtime_error("a defect");
        },
        counter);
    poller.Follow("b", {"default", "bad"}, {"http://bad", "t"});
    poller.GiveBack("b", {"default", "bad"}, {"http://bad", "t"}, "w");
    poller.Follow("g", {"default", "digits"}, {"http://good", "t"});
    EXPECT_TRUE(servers.Woken("digits", 1));
    servers.Answer("http://good", R"({"state": "Running", "epoch": 2})");
    EXPECT_TRUE(servers.Woken("digits", 2));
    const auto end = std::chrono::steady_clock::now() + seconds(60);
    while ((counter.polls < 5 || counter.give_backs < 1) &&
           std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  EXPECT_GE(counter.polls, 5);
  EXPECT_EQ(counter.give_backs, 1);
}

TEST(ProgressPoller, AnAnswerOfBracketsIsNone) {
  Servers servers;
  servers.Answer("http://a", std::string(std::size_t{4} << 20, '['));
  servers.Answer("http://b", R"({"state": "Running", "epoch": 1})");
  ProgressPoller poller(kFast, servers.Send(), servers.Wake());
  poller.Follow("a", {"default", "bad"}, {"http://a", "t"});
  poller.Follow("b", {"default", "digits"}, {"http://b", "t"});
  EXPECT_TRUE(servers.Woken("digits", 1));
  EXPECT_FALSE(poller.Latest("a"));
}

}  // namespace
}  // namespace elephas
