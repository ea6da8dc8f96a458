#include "kube/event_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/testing/fake_clock.h"
#include "kube/testing/fake_client.h"

namespace elephas::kube {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const EventSubject kJob{kElephasJob, {"ns", "digits"}, "uid-of-digits"};

class EventRecorderTest : public testing::Test {
 protected:
  void Record(const std::string& reason, const std::string& message) {
    recorder_.Record(kJob, EventType::kNormal, reason, message);
  }
  // "reason message xcount" of every Event.
  std::vector<std::string> Events() {
    recorder_.Flush();
    std::vector<std::string> events;
    for (const json& event : client_.All(kEvent)) {
      events.push_back(event["reason"].get<std::string>() + " " +
                       event["message"].get<std::string>() + " x" +
                       std::to_string(event["count"].get<int>()));
    }
    return events;
  }

  FakeClock clock_;
  FakeClient client_{clock_};
  EventRecorder recorder_{client_, clock_};
};

TEST_F(EventRecorderTest, AnEventSaysWhatHappenedToWhom) {
  recorder_.Record(kJob, EventType::kWarning, "WorkerFailing", "worker-1 was killed");
  recorder_.Flush();
  const auto events = client_.All(kEvent);
  ASSERT_EQ(events.size(), 1U);
  const json& event = events[0];
  EXPECT_EQ(event["metadata"]["namespace"], "ns");
  EXPECT_THAT(event["metadata"]["name"].get<std::string>(), testing::StartsWith("digits."));
  EXPECT_EQ(event["involvedObject"], (json{{"apiVersion", "elephas.dev/v1alpha1"},
                                           {"kind", "ElephasJob"},
                                           {"namespace", "ns"},
                                           {"name", "digits"},
                                           {"uid", "uid-of-digits"}}));
  EXPECT_EQ(event["type"], "Warning");
  EXPECT_EQ(event["reason"], "WorkerFailing");
  EXPECT_EQ(event["message"], "worker-1 was killed");
  EXPECT_EQ(event["source"]["component"], "elephas-operator");
  EXPECT_EQ(event["firstTimestamp"], "2023-11-14T22:13:20Z");
}

TEST_F(EventRecorderTest, TheSameAgainIsCountedAndSomethingElseIsNot) {
  Record("Running", "training");
  EXPECT_THAT(Events(), ElementsAre("Running training x1"));
  clock_.Advance(std::chrono::minutes(1));
  Record("Running", "training");
  Record("Running", "training");
  Record("Suspended", "by spec");
  EXPECT_THAT(Events(), ElementsAre("Running training x3", "Suspended by spec x1"));
  EXPECT_EQ(client_.All(kEvent)[0]["lastTimestamp"], "2023-11-14T22:14:20Z");
  EXPECT_EQ(client_.All(kEvent)[0]["firstTimestamp"], "2023-11-14T22:13:20Z");
}

TEST_F(EventRecorderTest, TheSameMuchLaterIsANewEvent) {
  Record("Running", "training");
  EXPECT_EQ(Events().size(), 1U);
  clock_.Advance(std::chrono::minutes(10));
  Record("Running", "training");
  EXPECT_THAT(Events(), ElementsAre("Running training x1", "Running training x1"));
}

TEST_F(EventRecorderTest, ManySimilarOnesBecomeOne) {
  for (int i = 0; i < 15; ++i) Record("Replaced", "worker-" + std::to_string(i));
  const auto events = Events();
  ASSERT_EQ(events.size(), 11U);
  EXPECT_THAT(events, testing::Contains("Replaced (combined from similar events): worker-14 x5"));
}

TEST_F(EventRecorderTest, AnObjectThatSaysTooMuchIsNotListenedTo) {
  for (int i = 0; i < 100; ++i) Record("Reason" + std::to_string(i), "m");
  EXPECT_EQ(Events().size(), 25U);
  recorder_.Record({kElephasJob, {"ns", "other"}, "another-uid"}, EventType::kNormal, "R", "m");
  EXPECT_EQ(Events().size(), 26U);
  clock_.Advance(std::chrono::minutes(5));
  Record("Later", "m");
  Record("Later2", "m");
  EXPECT_EQ(Events().size(), 27U);
}

TEST_F(EventRecorderTest, AnEventThatTheServerHasForgottenIsWrittenAnew) {
  Record("Running", "training");
  ASSERT_EQ(Events().size(), 1U);
  client_.Remove(kEvent, NameOf(client_.All(kEvent)[0]));
  Record("Running", "training");
  EXPECT_THAT(Events(), ElementsAre("Running training x1"));
}

TEST_F(EventRecorderTest, WhatTheServerCannotTakeNowIsWrittenLaterInOrder) {
  client_.FailNext({.verb = "create"}, Unavailable("away"), 1);
  Record("First", "m");
  Record("Second", "m");
  recorder_.Flush();
  EXPECT_TRUE(client_.All(kEvent).empty());
  EXPECT_THAT(Events(), ElementsAre("First m x1", "Second m x1"));
}

TEST_F(EventRecorderTest, WhatTheServerRefusesIsDropped) {
  client_.FailNext({.verb = "create"}, Forbidden("namespace is being terminated"), 1);
  Record("First", "m");
  Record("Second", "m");
  EXPECT_THAT(Events(), ElementsAre("Second m x1"));
}

TEST_F(EventRecorderTest, LongMessagesAreCutBetweenCharacters) {
  std::string message(1'020, 'x');
  for (int i = 0; i < 10; ++i) message += "\xC3\xA9";
  Record("Long", message);
  recorder_.Flush();
  const std::string cut = client_.All(kEvent)[0]["message"];
  EXPECT_LE(cut.size(), 1'024U);
  EXPECT_THAT(cut, testing::EndsWith("..."));
  EXPECT_NO_THROW((void)json(cut).dump());
}

TEST_F(EventRecorderTest, WhatWaitsIsBounded) {
  EventRecorder recorder(client_, clock_, {.max_waiting = 3});
  for (int i = 0; i < 10; ++i) {
    recorder.Record(kJob, EventType::kNormal, "R" + std::to_string(i), "m");
  }
  recorder.Flush();
  EXPECT_EQ(client_.All(kEvent).size(), 3U);
}

TEST_F(EventRecorderTest, TheThreadWritesAndStopWritesTheRest) {
  recorder_.Start();
  Record("First", "m");
  recorder_.Stop();
  EXPECT_EQ(client_.All(kEvent).size(), 1U);
}

}  // namespace
}  // namespace elephas::kube
