#include "operator/progress_poller.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <semaphore>
#include <set>

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
      const std::lock_guard lock(mutex_);
      asked_.insert(std::string(method) + " " + address.url + target);
      changed_.notify_all();
      const auto found = answers_.find(address.url);
      if (found == answers_.end()) return Unavailable("no connection");
      return found->second;
    };
  }
  ProgressPoller::Wake Wake() {
    return [this](const kube::ObjectName& job) {
      const std::lock_guard lock(mutex_);
      ++woken_[job.name];
      changed_.notify_all();
    };
  }
  void Answer(const std::string& url, const std::string& body) {
    const std::lock_guard lock(mutex_);
    answers_[url] = body;
  }
  bool Asked(const std::string& what) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(30), [&] { return asked_.contains(what); });
  }
  bool Woken(const std::string& job, int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(30), [&] { return woken_[job] >= times; });
  }
  int TimesWoken(const std::string& job) {
    const std::lock_guard lock(mutex_);
    return woken_[job];
  }
  void ForgetAsked() {
    const std::lock_guard lock(mutex_);
    asked_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> answers_;
  std::multiset<std::string> asked_;
  std::map<std::string, int> woken_;
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
    ASSERT_TRUE(servers.Asked("GET http://a/v1/status"));
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
  ASSERT_TRUE(servers.Asked("GET http://a/v1/status"));
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
  ASSERT_TRUE(servers.Asked("GET http://a/v1/status"));
  poller.Follow("u", {"default", "digits"}, {"http://b", "t"});
  EXPECT_TRUE(servers.Asked("GET http://b/v1/status"));
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
  poller.GiveBack({"http://a", "t"}, "digits-worker-1");
  EXPECT_TRUE(servers.Asked("DELETE http://a/v1/workers/digits-worker-1"));
}

}  // namespace
}  // namespace elephas
