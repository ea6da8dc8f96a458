// Training in a group, as the members see it: places, commits, and what stays of an aborted one.
#include <cmath>
#include <string>

#include "paramserver/testing/job_service_fixture.h"

namespace elephas {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Place = GroupPlace::State;

class JobServiceGroupTest : public JobServiceTest {
 protected:
  void SetUp() override {
    JobServiceTest::SetUp();
    spec_.mode = Mode::kSynchronous;
    spec_.frequency = Frequency::kBatch;
    spec_.workers.replicas = 2;
  }

  void Join(const std::string& worker, const std::string& collective = "nccl") {
    const auto joined = service_->Join(worker);
    ASSERT_TRUE(joined.ok()) << joined.status().message();
    ASSERT_TRUE(service_->OfferCollective(worker, collective, "no GPU").ok());
  }
  GroupPlace Enter(const std::string& worker, std::int64_t holds = 0, std::int64_t version = 0) {
    const auto place =
        service_->EnterGroup({worker, incarnation_, Generation(holds), Version(version)}, kNoWait);
    EXPECT_TRUE(place.ok()) << place.status().message();
    return place.ok() ? *place : GroupPlace{};
  }
  // A group of a (partition 0) and b (partition 1) that trains.
  void StartGroup() {
    StartInitialised();
    ASSERT_TRUE(service_->Leave("w").ok());
    FormGroup();
  }
  void FormGroup() {
    Join("a");
    Join("b");
    Enter("a");
    Enter("b");
    const GroupPlace first = Enter("a");
    ASSERT_EQ(first.state, Place::kConnect);
    generation_ = first.generation.value();
    ASSERT_TRUE(service_->SetGroupId("a", incarnation_, first.generation, "id").ok());
    Enter("a", generation_);
    Enter("b", generation_);
    ASSERT_EQ(Enter("a", generation_).state, Place::kTrain);
  }
  [[nodiscard]] GroupCommitHeader Header(const std::string& worker, std::int64_t base,
                                         std::int64_t target) const {
    return {incarnation_, Generation(generation_), worker, Version(base), Version(target)};
  }
  // Batches of each partition are 2 and 1 examples.
  Result<GroupStepsReply> Steps(const std::string& worker, std::int64_t base, std::int64_t target) {
    const Range batches{base % 2, base % 2 + target - base};
    const std::int64_t examples = batches == Range{0, 2} ? 3 : batches.first == 0 ? 2 : 1;
    return service_->StageGroupSteps(
        {Header(worker, base, target),
         {{Partition(worker == "a" ? 0 : 1), batches, examples, Losses(examples)}}});
  }
  Result<UpdateReply> Model(std::int64_t base, std::int64_t target,
                            const std::vector<float>& parameters) {
    return service_->StageGroupModel(Header("a", base, target), target, Buffer(parameters), {});
  }
  [[nodiscard]] std::int64_t PulledVersion() const {
    return service_->Pull(incarnation_, Version(0), false, kNoWait).value().version.value();
  }
  [[nodiscard]] nlohmann::json Transport() const { return service_->StatusJson().at("transport"); }

  std::int64_t generation_ = 0;
};

TEST_F(JobServiceGroupTest, WorkersWithACollectiveAreSentIntoTheGroup) {
  StartInitialised();
  ASSERT_TRUE(service_->Leave("w").ok());
  Join("a");
  EXPECT_EQ(Acquire("a").state, LeaseReply::State::kGroup);
  EXPECT_EQ(Enter("a").state, Place::kWait);
}

TEST_F(JobServiceGroupTest, AWorkerWithoutOneKeepsTheJobOnRestAndTheStatusSaysWhy) {
  StartInitialised();
  ASSERT_TRUE(service_->Leave("w").ok());
  Join("a");
  Join("b", "");
  EXPECT_EQ(Acquire("a").state, LeaseReply::State::kLeased);
  EXPECT_EQ(Enter("a").state, Place::kWait);  // a round by rest is open: ask for a lease
  EXPECT_EQ(Transport().at("now"), "rest");
  EXPECT_EQ(Transport().at("reason"), "b: no GPU");
}

TEST_F(JobServiceGroupTest, ACommitChangesModelLedgerAndVersionTogether) {
  StartGroup();
  EXPECT_EQ(Transport().at("now"), "nccl");
  ASSERT_TRUE(Steps("a", 0, 1).ok());
  ASSERT_TRUE(Model(0, 1, {1, 2, 3}).ok());
  EXPECT_EQ(PulledVersion(), 0);  // b's part is missing
  EXPECT_THAT(Parameters(), ElementsAre(0, 0, 0));
  EXPECT_EQ(service_->StatusJson().at("examples"), 0);
  ASSERT_TRUE(Steps("b", 0, 1).ok());
  EXPECT_EQ(PulledVersion(), 1);
  EXPECT_THAT(Parameters(), ElementsAre(1, 2, 3));
  EXPECT_EQ(service_->StatusJson().at("examples"), 4);
  const JobCounters counters = service_->Sample().counters;
  EXPECT_EQ(counters.examples.at(WorkKind::kTrain), 4U);
  EXPECT_EQ(counters.rounds, 1U);
  EXPECT_TRUE(Enter("b", generation_, 1).current);
}

TEST_F(JobServiceGroupTest, APartOfACommitSentAgainIsADuplicateThatChangesNothing) {
  StartGroup();
  ASSERT_TRUE(Steps("a", 0, 1).ok());
  ASSERT_TRUE(Steps("a", 0, 1).ok());
  ASSERT_TRUE(Model(0, 1, {1, 2, 3}).ok());
  const auto first = Steps("b", 0, 1);
  const auto again = Steps("b", 0, 1);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->outcome, UpdateOutcome::kDuplicate);
  EXPECT_EQ(again->rounds, first->rounds);
  EXPECT_EQ(Model(0, 1, {9, 9, 9})->outcome, UpdateOutcome::kDuplicate);
  EXPECT_THAT(Parameters(), ElementsAre(1, 2, 3));
  EXPECT_EQ(service_->StatusJson().at("examples"), 4);
}

TEST_F(JobServiceGroupTest, WhatAnAbortedGenerationHadNotCommittedIsForgotten) {
  StartGroup();
  ASSERT_TRUE(Steps("a", 0, 1).ok());
  ASSERT_TRUE(Model(0, 1, {1, 2, 3}).ok());
  ASSERT_TRUE(
      service_->AbortGroup("a", incarnation_, Generation(generation_), "lost its peer").ok());
  EXPECT_EQ(Steps("b", 0, 1).status().code(), Code::kConflict);
  EXPECT_EQ(Model(0, 1, {1, 2, 3}).status().code(), Code::kConflict);
  EXPECT_EQ(PulledVersion(), 0);
  // The next generation trains the same rounds.
  FormGroup();
  EXPECT_EQ(generation_, 2);
  ASSERT_TRUE(Steps("a", 0, 1).ok());
  ASSERT_TRUE(Steps("b", 0, 1).ok());
  ASSERT_TRUE(Model(0, 1, {4, 5, 6}).ok());
  EXPECT_THAT(Parameters(), ElementsAre(4, 5, 6));
  EXPECT_EQ(service_->StatusJson().at("examples"), 4);
}

TEST_F(JobServiceGroupTest, ASecondProcessUnderAMembersNameEndsTheGeneration) {
  StartGroup();
  Join("b");
  EXPECT_TRUE(service_->AwaitGroupEnd(incarnation_, Generation(generation_), kNoWait).value());
  EXPECT_EQ(Steps("a", 0, 1).status().code(), Code::kConflict);
  EXPECT_THAT(Transport().at("reason").get<std::string>(), HasSubstr("b was started again"));
}

TEST_F(JobServiceGroupTest, ASilentMemberEndsTheGenerationForAllWhoWatch) {
  StartGroup();
  EXPECT_FALSE(service_->AwaitGroupEnd(incarnation_, Generation(generation_), kNoWait).value());
  clock_.Advance(std::chrono::seconds(10));
  ASSERT_TRUE(service_->Heartbeat("a", incarnation_).ok());
  clock_.Advance(std::chrono::seconds(6));
  EXPECT_TRUE(service_->AwaitGroupEnd(incarnation_, Generation(generation_), kNoWait).value());
  EXPECT_THAT(Transport().at("reason").get<std::string>(), HasSubstr("b was not heard of"));
}

TEST_F(JobServiceGroupTest, UpdatesByRestAreRefusedWhileTheGroupTrains) {
  StartGroup();
  const auto pushed = Push(JobServiceTest::Header(0, 0, {0, 1}));
  EXPECT_EQ(pushed.status().code(), Code::kConflict);
  EXPECT_THAT(pushed.status().message(), HasSubstr("generation 1 of the group"));
  EXPECT_EQ(Acquire("a").state, LeaseReply::State::kGroup);
}

TEST_F(JobServiceGroupTest, AfterAnAbortRestCanTakeOverAtAnyRound) {
  StartGroup();
  ASSERT_TRUE(Steps("a", 0, 1).ok());
  ASSERT_TRUE(Steps("b", 0, 1).ok());
  ASSERT_TRUE(Model(0, 1, {1, 2, 3}).ok());
  ASSERT_TRUE(service_->Leave("b").ok());
  Join("c", "");
  const LeaseReply reply = Acquire("a");
  ASSERT_EQ(reply.state, LeaseReply::State::kLeased);
  EXPECT_EQ(reply.lease->batches, (Range{1, 2}));
  EXPECT_EQ(reply.lease->version, Version(1));
}

TEST_F(JobServiceGroupTest, ARoundBegunByRestIsFinishedByRest) {
  StartInitialised();  // w has not said whether it has a collective
  const auto pushed = Push(JobServiceTest::Header(0, 0, {0, 1}));
  ASSERT_TRUE(pushed.ok()) << pushed.status().message();
  ASSERT_TRUE(service_->Leave("w").ok());
  Join("a");
  const LeaseReply rest = Acquire("a");
  ASSERT_EQ(rest.state, LeaseReply::State::kLeased);
  EXPECT_EQ(rest.lease->task.partition, Partition(1));
  EXPECT_EQ(Enter("a").state, Place::kWait);
  UpdateHeader header = JobServiceTest::Header(0, 1, {0, 1});
  header.lease = rest.lease->id;
  ASSERT_TRUE(Push(header).ok());
  EXPECT_EQ(Acquire("a").state, LeaseReply::State::kGroup);
}

TEST_F(JobServiceGroupTest, AWholeJobIsTrainedInCommitsAcrossEpochs) {
  StartGroup();
  for (std::int64_t version = 0; version < 4; version += 2) {
    ASSERT_TRUE(Steps("a", version, version + 2).ok());
    ASSERT_TRUE(Steps("b", version, version + 2).ok());
    const auto model = Model(version, version + 2, {1, 1, static_cast<float>(version)});
    ASSERT_TRUE(model.ok()) << model.status().message();
  }
  EXPECT_EQ(service_->HistoryJson().at("examples"), nlohmann::json({6, 6}));
  const LeaseReply reply = Acquire("a");
  ASSERT_EQ(reply.state, LeaseReply::State::kLeased);
  EXPECT_EQ(reply.lease->task, Finalize());
}

TEST_F(JobServiceGroupTest, AMemberWaitsForTheCommitOfItsOwnVersion) {
  StartGroup();
  ASSERT_TRUE(Steps("b", 0, 2).ok());
  const GroupPlace waiting = Enter("b", generation_, 2);
  EXPECT_EQ(waiting.state, Place::kWait);
  EXPECT_EQ(waiting.version, Version(0));
  ASSERT_TRUE(Steps("a", 0, 2).ok());
  ASSERT_TRUE(Model(0, 2, {1, 1, 1}).ok());
  const GroupPlace place = Enter("b", generation_, 2);
  EXPECT_EQ(place.state, Place::kTrain);
  EXPECT_TRUE(place.current);
  EXPECT_EQ(place.epoch, Epoch(1));
}

TEST_F(JobServiceGroupTest, WhatIsWrongWithACommitIsSaidAndChangesNothing) {
  StartGroup();
  EXPECT_EQ(Steps("a", 0, 3).status().code(), Code::kInvalid);
  EXPECT_EQ(Steps("a", 1, 2).status().code(), Code::kConflict);
  EXPECT_EQ(Model(0, 1, {1, 2}).status().code(), Code::kInvalid);
  EXPECT_EQ(Model(0, 1, {1, 2, NAN}).status().code(), Code::kInvalid);
  ASSERT_TRUE(Steps("a", 0, 1).ok());
  EXPECT_EQ(Steps("b", 0, 2).status().code(), Code::kConflict);
  EXPECT_EQ(PulledVersion(), 0);
}

TEST_F(JobServiceGroupTest, ANewIncarnationKnowsNothingOfTheGroup) {
  WithCheckpoints();
  StartGroup();
  ASSERT_TRUE(Steps("a", 0, 2).ok());
  ASSERT_TRUE(Steps("b", 0, 2).ok());
  ASSERT_TRUE(Model(0, 2, {1, 1, 1}).ok());
  service_->Shutdown();
  const Incarnation before = incarnation_;
  ASSERT_TRUE(Start().ok());
  EXPECT_GT(incarnation_, before);
  EXPECT_EQ(PulledVersion(), 2);
  EXPECT_EQ(Transport().at("state"), "gathering");
  EXPECT_EQ(service_->HistoryJson().at("examples"), nlohmann::json({6}));
}

}  // namespace
}  // namespace elephas
