#include "kube/watch/informer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "common/base/mutex.h"
#include "common/base/testing/fake_clock.h"
#include "kube/testing/fake_client.h"

namespace elephas::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr milliseconds kPatience{60'000};

struct PodState {
  std::string phase, job;
  friend bool operator==(const PodState&, const PodState&) = default;
};

json PodOf(const std::string& name, const std::string& job, const std::string& phase = "Pending") {
  return {{"metadata", {{"namespace", "ns"}, {"name", name}, {"labels", {{"job", job}}}}},
          {"status", {{"phase", phase}}}};
}

class InformerTest : public testing::Test {
 protected:
  InformerTest() {
    hooks_.decode = [](const json& object) -> Result<PodState> {
      if (object["status"]["phase"] == "Nonsense") return Invalid("no such phase");
      return PodState{object["status"]["phase"], object["metadata"]["labels"]["job"]};
    };
    hooks_.index = [](const ObjectName&, const PodState& pod) { return pod.job; };
    hooks_.changed = [this](const ObjectName& name, const Informer<PodState>::Ptr& old,
                            const Informer<PodState>::Ptr& now) {
      const MutexLock lock(mutex_);
      seen_.push_back(name.name + " " + (old ? old->phase : "-") + " " + (now ? now->phase : "-"));
      changed_.NotifyAll();
    };
    options_.seed = 1;
    options_.page_size = 2;
    options_.sleep = [this](milliseconds pause, const std::stop_token& stop) {
      const MutexLock lock(mutex_);
      if (!stop.stop_requested()) pauses_.push_back(pause.count());
      changed_.NotifyAll();
    };
  }
  void StartInformer() {
    informer_ = std::make_unique<Informer<PodState>>(client_, kPod, options_, hooks_, observer_);
    informer_->Start();
    ASSERT_TRUE(informer_->WaitForSync(kPatience));
    ASSERT_TRUE(client_.WaitForWatches(kPod, 1));
  }
  // Waits for this many changes since the last call.
  std::vector<std::string> Take(std::size_t count) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (seen_.size() < count && changed_.WaitUntil(mutex_, deadline)) {
    }
    EXPECT_GE(seen_.size(), count);
    return std::exchange(seen_, {});
  }
  std::size_t Count(const std::string& call) { return client_.counts()[call]; }

  struct Recorder final : ClientObserver {
    void WatchRestarted(std::string_view kind, bool relist) override {
      EXPECT_EQ(kind, "Pod");
      ++(relist ? relists : restarts);
    }
    void Panicked(std::string_view where) override {
      EXPECT_EQ(where, "decode");
      ++panics;
    }
    std::atomic<int> restarts = 0, relists = 0, panics = 0;
  } observer_;
  FakeClock clock_;
  FakeClient client_{clock_};
  Informer<PodState>::Hooks hooks_;
  Reflector::Options options_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> seen_ ELEPHAS_GUARDED_BY(mutex_);
  std::vector<std::int64_t> pauses_ ELEPHAS_GUARDED_BY(mutex_);
  std::unique_ptr<Informer<PodState>> informer_;  // last: it calls the hooks
};

TEST_F(InformerTest, ListsInPagesAndThenFollows) {
  for (const char* name : {"a", "b", "c"}) client_.Put(kPod, PodOf(name, "j"));
  StartInformer();
  EXPECT_THAT(Take(3), ElementsAre("a - Pending", "b - Pending", "c - Pending"));
  EXPECT_EQ(Count("list Pod"), 2U);
  client_.Put(kPod, PodOf("d", "k", "Running"));
  EXPECT_THAT(Take(1), ElementsAre("d - Running"));
  client_.PutStatus(kPod, {"ns", "a"}, {{"phase", "Failed"}});
  EXPECT_THAT(Take(1), ElementsAre("a Pending Failed"));
  client_.Remove(kPod, {"ns", "b"});
  EXPECT_THAT(Take(1), ElementsAre("b Pending -"));
  EXPECT_EQ(informer_->Get({"ns", "a"})->phase, "Failed");
  EXPECT_EQ(informer_->Get({"ns", "b"}), nullptr);
  EXPECT_EQ(informer_->size(), 3U);
}

TEST_F(InformerTest, FindsByIndexAndFollowsAMove) {
  client_.Put(kPod, PodOf("a", "j"));
  client_.Put(kPod, PodOf("b", "k"));
  client_.Put(kPod, PodOf("c", "j"));
  StartInformer();
  ASSERT_EQ(informer_->ByIndex("j").size(), 2U);
  EXPECT_EQ(informer_->ByIndex("j")[1].first.name, "c");
  Take(3);
  client_.Put(kPod, PodOf("c", "k"));
  Take(1);
  EXPECT_EQ(informer_->ByIndex("j").size(), 1U);
  EXPECT_EQ(informer_->ByIndex("k").size(), 2U);
  EXPECT_TRUE(informer_->ByIndex("none").empty());
}

TEST_F(InformerTest, AChangeOfNothingThatIsKeptWakesNobody) {
  client_.Put(kPod, PodOf("a", "j"));
  StartInformer();
  Take(1);
  json touched = PodOf("a", "j");
  touched["metadata"]["annotations"] = {{"x", "y"}};
  client_.Put(kPod, touched);
  client_.Put(kPod, PodOf("b", "j"));
  EXPECT_THAT(Take(1), ElementsAre("b - Pending"));
}

TEST_F(InformerTest, AWatchThatEndsGoesOnFromTheLastVersionWithoutANewList) {
  client_.Put(kPod, PodOf("a", "j"));
  StartInformer();
  Take(1);
  for (int i = 0; i < 3; ++i) {
    client_.CloseWatches();
    client_.Put(kPod, PodOf("b" + std::to_string(i), "j"));
    Take(1);
  }
  EXPECT_EQ(Count("list Pod"), 1U);
  EXPECT_GE(observer_.restarts, 3);
  EXPECT_EQ(observer_.relists, 0);
}

TEST_F(InformerTest, AfterGoneItListsAgainAndNoticesWhatIsGone) {
  client_.Put(kPod, PodOf("a", "j"));
  client_.Put(kPod, PodOf("b", "j"));
  StartInformer();
  Take(2);
  // Behind the informer's back: the watch ends, and what happened since is no longer known.
  client_.FailNext({.verb = "watch"}, Unavailable("restarting"), 1);
  client_.FailNext({.verb = "watch"}, Gone("too old resource version"), 1);
  client_.CloseWatches();
  client_.Remove(kPod, {"ns", "a"});
  client_.PutStatus(kPod, {"ns", "b"}, {{"phase", "Running"}});
  client_.Put(kPod, PodOf("c", "j"));
  EXPECT_THAT(Take(3), UnorderedElementsAre("a Pending -", "b Pending Running", "c - Pending"));
  ASSERT_TRUE(client_.WaitForWatches(kPod, 1));
  EXPECT_EQ(informer_->size(), 2U);
}

TEST_F(InformerTest, BookmarksKeepAQuietWatchFromGrowingTooOld) {
  client_.Put(kPod, PodOf("a", "j"));
  StartInformer();
  Take(1);
  client_.Put(kService, {{"metadata", {{"namespace", "ns"}, {"name", "s"}}}});
  client_.Bookmark();
  client_.Put(kPod, PodOf("b", "j"));
  Take(1);
  client_.CloseWatches();
  client_.Put(kPod, PodOf("c", "j"));
  Take(1);
  EXPECT_EQ(Count("list Pod"), 1U);
}

TEST_F(InformerTest, AListWhosePagesAreGoneIsReadAtOnce) {
  for (const char* name : {"a", "b", "c"}) client_.Put(kPod, PodOf(name, "j"));
  // Between the first page and the second the server forgets.
  hooks_.decode = [this, decode = hooks_.decode, first = true](const json& object) mutable {
    if (std::exchange(first, false)) client_.Compact();
    return decode(object);
  };
  StartInformer();
  EXPECT_EQ(informer_->size(), 3U);
  EXPECT_EQ(Count("list Pod"), 3U);  // a page, one that is gone, and all of it
}

TEST_F(InformerTest, FailuresAreTriedAgainWithGrowingPausesAndRetryAfterIsWaitedFor) {
  client_.FailNext({.verb = "list"}, Unavailable("away"), 4);
  client_.FailNext({.verb = "list"},
                   Unavailable("slow down").WithRetryAfter(std::chrono::seconds(9)), 1);
  StartInformer();
  const MutexLock lock(mutex_);
  ASSERT_EQ(pauses_.size(), 5U);
  std::int64_t longest = 200;
  for (std::size_t i = 0; i < 4; ++i, longest *= 2) {
    EXPECT_GE(pauses_[i], longest / 2);
    EXPECT_LE(pauses_[i], longest);
  }
  EXPECT_EQ(pauses_[4], 9'000);
}

TEST_F(InformerTest, AnObjectThatMakesNoSenseIsLeftOut) {
  client_.Put(kPod, PodOf("a", "j", "Nonsense"));
  client_.Put(kPod, PodOf("b", "j"));
  StartInformer();
  EXPECT_THAT(Take(1), ElementsAre("b - Pending"));
  client_.Put(kPod, PodOf("b", "j", "Nonsense"));
  EXPECT_THAT(Take(1), ElementsAre("b Pending -"));
}

// Issue 11: an exception here ended the process, and every next one at the same object.
TEST_F(InformerTest, AnObjectAtWhichDecodingThrowsIsLeftOutAndTheOthersAreSeen) {
  hooks_.decode = [decode = hooks_.decode](const json& object) {
    if (object["status"]["phase"] == "Poison") throw std::runtime_error("a defect");
    return decode(object);
  };
  client_.Put(kPod, PodOf("a", "j", "Poison"));
  client_.Put(kPod, PodOf("b", "j"));
  StartInformer();
  EXPECT_THAT(Take(1), ElementsAre("b - Pending"));
  client_.PutStatus(kPod, {"ns", "a"}, {{"phase", "Running"}});
  EXPECT_THAT(Take(1), ElementsAre("a - Running"));
  client_.PutStatus(kPod, {"ns", "a"}, {{"phase", "Poison"}});
  EXPECT_THAT(Take(1), ElementsAre("a Running -"));
  EXPECT_EQ(observer_.panics, 2);
}

TEST_F(InformerTest, APageThatIsTooLargeIsAskedForInSmallerOnes) {
  for (const char* name : {"a", "b", "c"}) client_.Put(kPod, PodOf(name, "j"));
  client_.FailNext({.verb = "list"}, Invalid("the answer has more than 8388608 bytes"), 1);
  StartInformer();
  EXPECT_EQ(informer_->size(), 3U);
  EXPECT_EQ(Count("list Pod"), 4U);  // two at once, and then one by one
  const MutexLock lock(mutex_);
  EXPECT_TRUE(pauses_.empty());
}

TEST_F(InformerTest, OnlyTheSelectorsObjectsAreSeen) {
  options_.label_selector = "job=j";
  client_.Put(kPod, PodOf("a", "j"));
  client_.Put(kPod, PodOf("b", "k"));
  StartInformer();
  EXPECT_THAT(Take(1), ElementsAre("a - Pending"));
  client_.Put(kPod, PodOf("a", "k"));
  EXPECT_THAT(Take(1), ElementsAre("a Pending -"));
}

}  // namespace
}  // namespace elephas::kube
