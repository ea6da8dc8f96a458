#include "kube/leader_election.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "common/base/testing/fake_clock.h"
#include "common/base/timestamp.h"
#include "kube/testing/fake_client.h"

namespace elephas::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds, std::chrono::seconds;
using testing::HasSubstr;

class LeaderElectionTest : public testing::Test {
 protected:
  LeaderElector::Options Candidate(const std::string& identity) {
    return {.ns = "ns", .name = "elephas-operator", .identity = identity};
  }
  json Spec() { return (*client_.Find(kLease, {"ns", "elephas-operator"}))["spec"]; }

  FakeClock clock_;
  FakeClient client_{clock_};
  LeaderElector a_{client_, clock_, Candidate("a")};
  LeaderElector b_{client_, clock_, Candidate("b")};
};

TEST_F(LeaderElectionTest, TheFirstOneLeadsAndTheSecondKnowsWho) {
  EXPECT_TRUE(a_.Step().ok());
  EXPECT_TRUE(a_.leading());
  const Status second = b_.Step();
  EXPECT_EQ(second.code(), Code::kConflict);
  EXPECT_THAT(second.message(), HasSubstr("a leads"));
  EXPECT_FALSE(b_.leading());
  EXPECT_EQ(b_.holder(), "a");
  EXPECT_EQ(Spec(), (json{{"holderIdentity", "a"},
                          {"leaseDurationSeconds", 15},
                          {"leaseTransitions", 0},
                          {"acquireTime", "2023-11-14T22:13:20.000000Z"},
                          {"renewTime", "2023-11-14T22:13:20.000000Z"}}));
}

TEST_F(LeaderElectionTest, ALeaderThatRenewsKeepsLeadingForEver) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(a_.Step().ok());
    ASSERT_EQ(b_.Step().code(), Code::kConflict);
    clock_.Advance(seconds(9));
  }
  EXPECT_EQ(Spec()["leaseTransitions"], 0);
  EXPECT_EQ(Spec()["acquireTime"], "2023-11-14T22:13:20.000000Z");
}

TEST_F(LeaderElectionTest, ADeadLeadersLeaseIsTakenWhenItHasRunOut) {
  ASSERT_TRUE(a_.Step().ok());
  ASSERT_EQ(b_.Step().code(), Code::kConflict);
  clock_.Advance(milliseconds(14'999));
  ASSERT_EQ(b_.Step().code(), Code::kConflict);
  clock_.Advance(milliseconds(1));
  EXPECT_TRUE(b_.Step().ok());
  EXPECT_TRUE(b_.leading());
  EXPECT_EQ(Spec()["leaseTransitions"], 1);
  EXPECT_EQ(a_.Step().code(), Code::kConflict);
  EXPECT_FALSE(a_.leading());
}

TEST_F(LeaderElectionTest, ALeaderStopsLeadingBeforeAnotherMayStart) {
  ASSERT_TRUE(a_.Step().ok());
  ASSERT_FALSE(b_.Step().ok());
  client_.FailNext({.verb = "get"}, Unavailable("away"), -1);
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(a_.leading());
    EXPECT_EQ(a_.Step().code(), Code::kUnavailable);
    clock_.Advance(seconds(2));
  }
  EXPECT_FALSE(a_.leading());
  client_.StopFailing();
  clock_.Advance(seconds(4));
  EXPECT_EQ(b_.Step().code(), Code::kConflict);  // 14 s after a's renewal
  clock_.Advance(seconds(1));
  EXPECT_TRUE(b_.Step().ok());
}

TEST_F(LeaderElectionTest, ClocksOfDifferentMachinesNeedNotAgree) {
  ASSERT_TRUE(a_.Step().ok());
  // To b's clock a's renewal looks hours old.
  json lease = *client_.Find(kLease, {"ns", "elephas-operator"});
  lease["spec"]["renewTime"] = "2001-01-01T00:00:00.000000Z";
  client_.Put(kLease, lease);
  EXPECT_EQ(b_.Step().code(), Code::kConflict);
  clock_.Advance(seconds(10));
  EXPECT_EQ(b_.Step().code(), Code::kConflict);
}

TEST_F(LeaderElectionTest, OfTwoThatTryAtOnceOneGetsAConflict) {
  ASSERT_TRUE(a_.Step().ok());
  clock_.Advance(seconds(1));
  client_.FailNext({.verb = "update"}, Conflict("the object has been modified"), 1);
  EXPECT_EQ(a_.Step().code(), Code::kConflict);
  EXPECT_TRUE(a_.leading());  // the last renewal still counts
  EXPECT_TRUE(a_.Step().ok());
}

TEST_F(LeaderElectionTest, AReleasedLeaseIsTakenAtOnce) {
  ASSERT_TRUE(a_.Step().ok());
  ASSERT_FALSE(b_.Step().ok());
  EXPECT_TRUE(a_.Release().ok());
  EXPECT_FALSE(a_.leading());
  EXPECT_EQ(Spec()["holderIdentity"], "");
  EXPECT_TRUE(b_.Step().ok());
  EXPECT_TRUE(a_.Release().ok());  // not ours any more: nothing happens
  EXPECT_EQ(Spec()["holderIdentity"], "b");
}

TEST_F(LeaderElectionTest, ARenewalWhoseAnswerWasLostIsMadeAgain) {
  ASSERT_TRUE(a_.Step().ok());
  client_.LoseAnswer({.verb = "update"});
  EXPECT_EQ(a_.Step().code(), Code::kUnavailable);
  EXPECT_TRUE(a_.Step().ok());
  EXPECT_EQ(Spec()["leaseTransitions"], 0);
}

TEST_F(LeaderElectionTest, RunLeadsUntilStoppedAndThenReleases) {
  struct Recorder final : ClientObserver {
    void Leading(bool leading) override { changes.push_back(leading); }
    std::vector<bool> changes;
  } recorder;
  LeaderElector elector(client_, clock_, Candidate("c"), recorder);
  std::stop_source stop;
  std::latch leads(1);
  bool stopping = false, stopped = false;
  std::jthread runner([&] {
    stopped = elector.Run(
        stop.get_token(), [&] { leads.count_down(); },
        [&] {
          stopping = true;
          EXPECT_EQ(Spec()["holderIdentity"], "c");  // not released before
        });
  });
  leads.wait();
  EXPECT_TRUE(elector.leading());
  stop.request_stop();
  runner.join();
  EXPECT_TRUE(stopped);
  EXPECT_TRUE(stopping);
  EXPECT_EQ(Spec()["holderIdentity"], "");
  EXPECT_EQ(recorder.changes, (std::vector<bool>{true, false}));
}

TEST_F(LeaderElectionTest, RunEndsWhenAnotherHasTakenTheLease) {
  auto options = Candidate("c");
  options.retry_period = milliseconds(5);
  LeaderElector elector(client_, clock_, options);
  std::latch leads(1);
  bool stopped = true;
  std::jthread runner([&](const std::stop_token& stop) {
    stopped = elector.Run(stop, [&] { leads.count_down(); }, [] {});
  });
  leads.wait();
  client_.Put(kLease, {{"metadata", {{"namespace", "ns"}, {"name", "elephas-operator"}}},
                       {"spec", {{"holderIdentity", "thief"}, {"leaseDurationSeconds", 15}}}});
  runner.join();
  EXPECT_FALSE(stopped);
  EXPECT_FALSE(elector.leading());
  EXPECT_EQ(elector.holder(), "thief");
}

}  // namespace
}  // namespace elephas::kube
