#include "paramserver/group/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

namespace elephas {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using State = Group::State;
using Place = GroupPlace::State;

// A group of up to three workers a, b, c, moved by hand. Everybody is heard of all the time, but
// for those that Kill() names.
class GroupTest : public testing::Test {
 protected:
  static Group::Options Options() {
    Group::Options options;
    options.allowed = true;
    options.expected = 3;
    options.patience = seconds(3);
    options.connecting = seconds(60);
    options.silence = seconds(15);
    options.commit_every = seconds(5);
    options.attempts = 3;
    options.retry = seconds(60);
    return options;
  }

  void Join(const std::string& worker, const std::string& collective = "nccl") {
    dead_.erase(worker);
    group_.Join(worker, now_);
    group_.Offer(worker, collective, collective.empty() ? "no GPU" : "", now_);
    workers_.insert(worker);
    group_.Tick(now_, round_empty_);
  }
  void Kill(const std::string& worker) { dead_.insert(worker); }
  void Advance(milliseconds time) {
    // In small steps, as heartbeats come.
    for (milliseconds passed{0}; passed < time; passed += milliseconds(500)) {
      now_ += milliseconds(500);
      for (const std::string& worker : workers_) {
        if (!dead_.contains(worker)) group_.Seen(worker, now_);
      }
      group_.Tick(now_, round_empty_);
    }
  }
  GroupPlace Enter(const std::string& worker, std::int64_t holds = 0) {
    const Result<GroupPlace> place = group_.Enter(worker, Generation(holds), now_);
    EXPECT_TRUE(place.ok()) << place.status().message();
    group_.Tick(now_, round_empty_);
    return place.ok() ? *place : GroupPlace{};
  }
  // All of `names` enter, rank 0 brings the id, all connect: the generation trains.
  void Train(const std::vector<std::string>& names) {
    for (const std::string& name : names) Enter(name);
    if (group_.state() == State::kGathering) Advance(seconds(3));
    ASSERT_EQ(group_.state(), State::kConnecting);
    const std::int64_t generation = group_.generation().value();
    ASSERT_TRUE(group_.SetId(group_.members().front(), group_.generation(), "the id", now_).ok());
    for (const std::string& name : names) Enter(name, generation);
    ASSERT_EQ(group_.state(), State::kTraining);
  }
  void Commit(std::int64_t version) {
    group_.RoundsAfter(Version(version), now_);
    group_.Committed(Version(version), now_);
  }

  Group::TimePoint now_;
  bool round_empty_ = true;
  std::set<std::string> workers_, dead_;
  Group group_{Options()};
};

TEST_F(GroupTest, FormsAtOnceWhenAllExpectedWorkersHaveEntered) {
  Join("c");
  Join("a");
  Join("b");
  EXPECT_EQ(Enter("c").state, Place::kWait);
  EXPECT_EQ(Enter("a").state, Place::kWait);
  EXPECT_EQ(group_.state(), State::kGathering);
  Enter("b");
  EXPECT_EQ(group_.state(), State::kConnecting);
  EXPECT_THAT(group_.members(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(group_.generation(), Generation(1));
}

TEST_F(GroupTest, RanksFollowNamesAndOnlyRankZeroConnectsBeforeTheIdIsThere) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  for (const char* name : {"a", "b", "c"}) Enter(name);
  const GroupPlace first = Enter("a");
  EXPECT_EQ(first.state, Place::kConnect);
  EXPECT_EQ(first.rank, 0);
  EXPECT_EQ(first.world, 3);
  EXPECT_THAT(first.id, IsEmpty());
  EXPECT_EQ(Enter("c").state, Place::kWait);
  EXPECT_EQ(group_.SetId("b", Generation(1), "x", now_).code(), Code::kConflict);
  ASSERT_TRUE(group_.SetId("a", Generation(1), "the id", now_).ok());
  ASSERT_TRUE(group_.SetId("a", Generation(1), "another", now_).ok());  // a repeat
  const GroupPlace last = Enter("c");
  EXPECT_EQ(last.state, Place::kConnect);
  EXPECT_EQ(last.rank, 2);
  EXPECT_EQ(last.id, "the id");
}

TEST_F(GroupTest, TrainsWhenTheLastMemberHoldsItsCommunicator) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  for (const char* name : {"a", "b", "c"}) Enter(name);
  ASSERT_TRUE(group_.SetId("a", Generation(1), "id", now_).ok());
  EXPECT_EQ(Enter("a", 1).state, Place::kWait);
  EXPECT_EQ(Enter("b", 1).state, Place::kWait);
  EXPECT_EQ(Enter("c", 1).state, Place::kTrain);
  EXPECT_EQ(Enter("a", 1).state, Place::kTrain);
  EXPECT_TRUE(group_.CheckTraining("b", Generation(1)).ok());
  EXPECT_FALSE(group_.CheckTraining("d", Generation(1)).ok());
  EXPECT_FALSE(group_.CheckTraining("b", Generation(2)).ok());
}

TEST_F(GroupTest, DoesNotWaitForEverForWorkersThatNeverCome) {
  Join("a");
  Join("b");
  Enter("a");
  Advance(milliseconds(2500));
  EXPECT_EQ(group_.state(), State::kGathering);
  Advance(milliseconds(500));
  EXPECT_EQ(group_.state(), State::kConnecting);
  EXPECT_THAT(group_.members(), ElementsAre("a"));
}

TEST_F(GroupTest, DoesNotFormWhileARoundByRestIsOpen) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  round_empty_ = false;
  for (const char* name : {"a", "b", "c"}) Enter(name);
  Advance(seconds(30));
  EXPECT_EQ(group_.state(), State::kGathering);
  round_empty_ = true;
  Advance(milliseconds(500));
  EXPECT_EQ(group_.state(), State::kConnecting);
}

TEST_F(GroupTest, AMemberThatFallsSilentEndsTheGenerationAndTheOthersFormTheNext) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  Train({"a", "b", "c"});
  Kill("b");
  Advance(seconds(14));
  EXPECT_EQ(group_.state(), State::kTraining);
  Advance(seconds(1));
  EXPECT_EQ(group_.state(), State::kGathering);
  EXPECT_THAT(group_.reason(), HasSubstr("b was not heard of for 15.0 s"));
  EXPECT_FALSE(group_.CheckTraining("a", Generation(1)).ok());
  Train({"a", "c"});
  EXPECT_EQ(group_.generation(), Generation(2));
  EXPECT_THAT(group_.members(), ElementsAre("a", "c"));
}

TEST_F(GroupTest, AWorkerThatWasSilentForAWhileComesBackWithoutJoiningAgain) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  Train({"a", "b", "c"});
  Kill("b");
  Advance(seconds(15));
  Train({"a", "c"});
  dead_.erase("b");
  group_.Seen("b", now_);
  EXPECT_EQ(group_.RouteFor("b"), Group::Route::kEnter);
  EXPECT_EQ(Enter("b").state, Place::kWait);
  EXPECT_EQ(group_.RoundsAfter(Version(1), now_), 0);
}

TEST_F(GroupTest, AProcessThatStartsAgainUnderAMembersNameEndsTheGeneration) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  Train({"a", "b", "c"});
  Join("b");
  EXPECT_EQ(group_.state(), State::kGathering);
  Train({"a", "b", "c"});
  EXPECT_EQ(group_.generation(), Generation(2));
}

TEST_F(GroupTest, AnErrorOfAMemberEndsItsGenerationAndNoOther) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  Train({"a", "b", "c"});
  group_.Abort("b", Generation(1), "ncclAllReduce: unhandled system error", now_);
  EXPECT_EQ(group_.state(), State::kGathering);
  EXPECT_EQ(group_.reason(), "b: ncclAllReduce: unhandled system error");
  Train({"a", "b", "c"});
  group_.Abort("c", Generation(1), "late news of the first generation", now_);
  EXPECT_EQ(group_.state(), State::kTraining);
}

TEST_F(GroupTest, AMemberThatComesWithoutItsCommunicatorEndsTheGeneration) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  Train({"a", "b", "c"});
  EXPECT_EQ(Enter("c", 0).state, Place::kWait);
  EXPECT_EQ(group_.state(), State::kGathering);
}

TEST_F(GroupTest, AWorkerThatReturnsComesInAtTheNextCommitAndCostsNoRounds) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  Kill("c");
  Train({"a", "b"});
  Commit(1);
  EXPECT_EQ(group_.state(), State::kTraining);
  Join("c");
  EXPECT_EQ(Enter("c").state, Place::kWait);
  EXPECT_EQ(group_.state(), State::kTraining);
  EXPECT_EQ(group_.RoundsAfter(Version(2), now_), 0);
  EXPECT_EQ(group_.state(), State::kTraining);  // until the commit is there
  group_.Committed(Version(2), now_);
  EXPECT_EQ(group_.state(), State::kGathering);
  Train({"a", "b", "c"});
  EXPECT_EQ(group_.generation(), Generation(2));
}

TEST_F(GroupTest, AllMembersHearTheSameNumberOfRoundsWhateverHappensInBetween) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  Train({"a", "b"});
  const std::int64_t rounds = group_.RoundsAfter(Version(4), now_);
  Enter("c");
  Advance(seconds(2));
  EXPECT_EQ(group_.RoundsAfter(Version(4), now_), rounds);
  EXPECT_GT(rounds, 0);
}

TEST_F(GroupTest, RoundsBetweenCommitsGrowUntilTheyTakeAsLongAsWanted) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  Train({"a", "b", "c"});
  std::int64_t version = 0, rounds = 1;
  for (int i = 0; i < 12; ++i) {
    version += rounds;
    Advance(milliseconds(500) * rounds);  // half a second each
    rounds = group_.RoundsAfter(Version(version), now_);
    group_.Committed(Version(version), now_);
  }
  EXPECT_EQ(rounds, 10);
}

TEST_F(GroupTest, OneWorkerWithoutACollectiveKeepsAllOfThemOnRest) {
  Join("a");
  Join("b", "");
  EXPECT_EQ(group_.RouteFor("a"), Group::Route::kLease);
  EXPECT_EQ(group_.RouteFor("b"), Group::Route::kLease);
  EXPECT_EQ(group_.reason(), "b: no GPU");
  EXPECT_EQ(Enter("a").state, Place::kRest);
  Advance(seconds(10));
  EXPECT_EQ(group_.state(), State::kGathering);
  group_.Leave("b", now_);
  EXPECT_EQ(group_.RouteFor("a"), Group::Route::kEnter);
}

TEST_F(GroupTest, AWorkerWithoutACollectiveThatComesLaterWaitsWhileTheGroupTrains) {
  Join("a");
  Train({"a"});
  Join("b", "");
  EXPECT_EQ(group_.state(), State::kTraining);
  EXPECT_EQ(group_.RouteFor("b"), Group::Route::kNothing);
}

TEST_F(GroupTest, WorkersOfDifferentCollectivesUseRest) {
  Join("a", "nccl");
  Join("b", "loopback");
  EXPECT_EQ(group_.RouteFor("a"), Group::Route::kLease);
  EXPECT_THAT(group_.reason(), HasSubstr("b offers loopback, others nccl"));
}

TEST_F(GroupTest, ThreeGenerationsWithoutACommitFallBackToRestForAWhile) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(group_.RouteFor("a"), Group::Route::kEnter);
    Train({"a", "b", "c"});
    group_.Abort("a", group_.generation(), "no route to host", now_);
  }
  EXPECT_EQ(group_.state(), State::kFallback);
  EXPECT_EQ(group_.RouteFor("a"), Group::Route::kLease);
  EXPECT_THAT(group_.reason(), HasSubstr("no route to host"));
  Advance(seconds(60));
  EXPECT_EQ(group_.RouteFor("a"), Group::Route::kEnter);
  // Once more, and it stays on rest for twice as long.
  Train({"a", "b", "c"});
  group_.Abort("a", group_.generation(), "no route to host", now_);
  EXPECT_EQ(group_.state(), State::kFallback);
  Advance(seconds(60));
  EXPECT_EQ(group_.state(), State::kFallback);
  Advance(seconds(60));
  EXPECT_EQ(group_.state(), State::kGathering);
}

TEST_F(GroupTest, ACommitMakesEarlierFailuresForgotten) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  std::int64_t version = 0;
  for (int i = 0; i < 10; ++i) {
    Train({"a", "b", "c"});
    Commit(++version);
    group_.Abort("a", group_.generation(), "again", now_);
    ASSERT_EQ(group_.state(), State::kGathering);
  }
}

TEST_F(GroupTest, MembersThatNeverConnectAreNamed) {
  for (const char* name : {"a", "b", "c"}) Join(name);
  for (const char* name : {"a", "b", "c"}) Enter(name);
  ASSERT_TRUE(group_.SetId("a", Generation(1), "id", now_).ok());
  Enter("a", 1);
  Advance(seconds(60));
  EXPECT_EQ(group_.state(), State::kGathering);
  EXPECT_THAT(group_.reason(), HasSubstr("no connection within 60.0 s: b, c"));
}

TEST_F(GroupTest, AJobThatCannotGroupSaysWhyAndLeasesAsEver) {
  Group::Options options = Options();
  options.allowed = false;
  options.why_not = "spec.transport is rest";
  Group off(options);
  off.Join("a", now_);
  off.Offer("a", "nccl", "", now_);
  EXPECT_EQ(off.RouteFor("a"), Group::Route::kLease);
  EXPECT_EQ(off.reason(), "spec.transport is rest");
  EXPECT_FALSE(off.NextDeadline().has_value());
}

// Whatever order things happen in: a generation's number never comes twice with other members, at
// most one generation trains, and whenever the trouble stops, training begins within a bounded
// time.
TEST_F(GroupTest, AnyInterleavingOfTroubleEndsInTraining) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Group group(Options());
    Group::TimePoint now;
    const std::vector<std::string> names{"a", "b", "c"};
    std::map<std::string, std::int64_t> holds;
    std::map<std::int64_t, std::vector<std::string>> members;
    std::int64_t version = 0;
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    const auto join = [&](const std::string& name) {
      group.Join(name, now);
      group.Offer(name, "nccl", "", now);
      holds[name] = 0;
    };
    const auto act = [&](const std::string& name) {
      const Result<GroupPlace> place = group.Enter(name, Generation(holds[name]), now);
      if (!place.ok()) return join(name);
      if (place->state == Place::kConnect) {
        if (place->rank == 0) {
          (void)group.SetId(name, place->generation, "id" + name, now);
        }
        holds[name] = place->generation.value();
      }
    };
    const auto check = [&] {
      if (group.members().empty()) return;
      const auto [it, fresh] = members.emplace(group.generation().value(), group.members());
      ASSERT_TRUE(fresh || it->second == group.members());
    };
    for (int step = 0; step < 200; ++step) {
      const std::string& name = names[static_cast<std::size_t>(pick(3))];
      switch (pick(8)) {
        case 0:
          join(name);
          break;
        case 1:
          group.Abort(name, Generation(holds[name]), "error", now);
          holds[name] = 0;
          break;
        case 2:
          now += milliseconds(pick(8000));
          break;
        case 3:
          if (group.state() == State::kTraining) {
            group.RoundsAfter(Version(++version), now);
            group.Committed(Version(version), now);
          }
          break;
        default:
          act(name);
      }
      group.Tick(now, pick(4) != 0);
      check();
    }
    for (int step = 0; step < 4000 && group.state() != State::kTraining; ++step) {
      now += milliseconds(300);
      for (const std::string& name : names) {
        group.Seen(name, now);
        if (!holds.contains(name)) join(name);
        if (group.RouteFor(name) != Group::Route::kLease) act(name);
      }
      group.Tick(now, true);
      check();
    }
    EXPECT_EQ(group.state(), State::kTraining);
    EXPECT_TRUE(std::ranges::all_of(group.members(), [&](const std::string& name) {
      return holds[name] == group.generation().value();
    }));
  }
}

}  // namespace
}  // namespace elephas
