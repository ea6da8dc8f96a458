#include "kube/testing/fake_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/base/testing/fake_clock.h"

namespace elephas::kube {
namespace {

using nlohmann::json;
using testing::ElementsAre;

json Named(const std::string& name, json rest = json::object()) {
  rest["metadata"]["namespace"] = "default";
  rest["metadata"]["name"] = name;
  return rest;
}

class FakeClientTest : public testing::Test {
 protected:
  FakeClock clock_;
  FakeClient client_{clock_};
};

TEST_F(FakeClientTest, CreateGivesUidVersionAndTimeAndRefusesASecondOne) {
  const auto made = client_.Create(kPod, Named("a", {{"spec", {{"x", 1}}}}));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ((*made)["kind"], "Pod");
  EXPECT_EQ((*made)["metadata"]["creationTimestamp"], "2023-11-14T22:13:20Z");
  EXPECT_EQ((*made)["metadata"]["generation"], 1);
  EXPECT_EQ((*made)["status"]["phase"], "Pending");
  const auto again = client_.Create(kPod, Named("a"));
  EXPECT_EQ(again.status().code(), Code::kExists);
  EXPECT_EQ(again.status().message(), "pods \"a\" already exists");
  EXPECT_THAT(client_.TakeCalls(), ElementsAre("create Pod default/a"));
}

TEST_F(FakeClientTest, ApplyTakesAwayWhatItsManagerNoLongerNamesAndLeavesTheRest) {
  client_.Put(kService, Named("s", {{"metadata", {{"labels", {{"mine", "1"}}}}}}));
  const json first =
      Named("s", {{"metadata", {{"labels", {{"a", "1"}, {"b", "2"}}}}}, {"spec", {{"port", 1}}}});
  ASSERT_TRUE(client_.Apply(kService, first).ok());
  const auto second =
      client_.Apply(kService, Named("s", {{"metadata", {{"labels", {{"b", "3"}}}}}}));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ((*second)["metadata"]["labels"], (json{{"mine", "1"}, {"b", "3"}}));
  EXPECT_FALSE(second->contains("spec"));
}

TEST_F(FakeClientTest, ApplyingTheSameChangesNothing) {
  const auto first = client_.Apply(kService, Named("s", {{"spec", {{"port", 1}}}}));
  const auto second = client_.Apply(kService, Named("s", {{"spec", {{"port", 1}}}}));
  EXPECT_EQ(*first, *second);
}

TEST_F(FakeClientTest, StatusAndSpecAreAppliedApart) {
  client_.Put(kElephasJob, Named("j", {{"spec", {{"task", "train"}}}}));
  const json both = Named("j", {{"spec", {{"task", "predict"}}}, {"status", {{"epoch", 3}}}});
  const auto status = client_.ApplyStatus(kElephasJob, both);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ((*status)["spec"]["task"], "train");
  EXPECT_EQ((*status)["status"]["epoch"], 3);
  EXPECT_EQ((*status)["metadata"]["generation"], 1);
  const auto spec = client_.Apply(kElephasJob, both);
  EXPECT_EQ((*spec)["spec"]["task"], "predict");
  EXPECT_EQ((*spec)["metadata"]["generation"], 2);
  EXPECT_EQ(client_.ApplyStatus(kElephasJob, Named("other")).status().code(), Code::kNotFound);
}

TEST_F(FakeClientTest, UpdateAndApplyWithAnOldVersionConflict) {
  json old = client_.Put(kLease, Named("l", {{"spec", {{"holder", "a"}}}}));
  client_.Put(kLease, Named("l", {{"spec", {{"holder", "b"}}}}));
  EXPECT_EQ(client_.Update(kLease, old).status().code(), Code::kConflict);
  EXPECT_EQ(client_.Apply(kLease, old).status().code(), Code::kConflict);
  old["metadata"].erase("resourceVersion");
  EXPECT_TRUE(client_.Update(kLease, old).ok());
}

TEST_F(FakeClientTest, DeleteWaitsForFinalizersAndMindsTheUid) {
  const json job =
      client_.Put(kElephasJob, Named("j", {{"metadata", {{"finalizers", {"elephas.dev/x"}}}}}));
  EXPECT_EQ(client_.Delete(kElephasJob, {"default", "j"}, {.uid = "another"}).code(),
            Code::kConflict);
  ASSERT_TRUE(client_.Delete(kElephasJob, {"default", "j"}).ok());
  json going = *client_.Find(kElephasJob, {"default", "j"});
  EXPECT_TRUE(going["metadata"].contains("deletionTimestamp"));
  going["metadata"]["finalizers"] = json::array();
  ASSERT_TRUE(client_.Update(kElephasJob, going).ok());
  EXPECT_FALSE(client_.Find(kElephasJob, {"default", "j"}));
}

TEST_F(FakeClientTest, APodOnANodeStaysUntilItsKubeletHasEndedIt) {
  client_.Put(kPod, Named("p", {{"spec", {{"nodeName", "n"}}}}));
  ASSERT_TRUE(client_.Delete(kPod, {"default", "p"}).ok());
  EXPECT_TRUE((*client_.Find(kPod, {"default", "p"}))["metadata"].contains("deletionTimestamp"));
  EXPECT_THAT(client_.Create(kPod, Named("p")).status().message(),
              testing::StartsWith("object is being deleted"));
  EXPECT_TRUE(client_.Remove(kPod, {"default", "p"}));
  EXPECT_EQ(client_.Delete(kPod, {"default", "p"}).code(), Code::kNotFound);
}

TEST_F(FakeClientTest, OwnedObjectsGoWithTheirOwner) {
  const json job = client_.Put(kElephasJob, Named("j"));
  const json owner{{"uid", job["metadata"]["uid"]}};
  client_.Put(kPod, Named("p", {{"metadata", {{"ownerReferences", {owner}}}}}));
  client_.Put(kPod, Named("q"));
  ASSERT_TRUE(client_.Delete(kElephasJob, {"default", "j"}).ok());
  EXPECT_FALSE(client_.Find(kPod, {"default", "p"}));
  EXPECT_TRUE(client_.Find(kPod, {"default", "q"}));
}

TEST_F(FakeClientTest, RefusesOnCommandAndThenNoLonger) {
  client_.FailNext({.verb = "create", .kind = "Pod"}, Forbidden("exceeded quota: compute"));
  EXPECT_TRUE(client_.Create(kService, Named("a")).ok());
  EXPECT_EQ(client_.Create(kPod, Named("a")).status().message(), "exceeded quota: compute");
  EXPECT_TRUE(client_.Create(kPod, Named("a")).ok());
  client_.LoseAnswer({.verb = "create"});
  EXPECT_EQ(client_.Create(kPod, Named("b")).status().code(), Code::kUnavailable);
  EXPECT_TRUE(client_.Find(kPod, {"default", "b"}));
  EXPECT_EQ(client_.counts()["create Pod"], 3U);
}

TEST_F(FakeClientTest, ListsInPages) {
  for (const char* name : {"a", "b", "c"}) client_.Put(kPod, Named(name));
  auto page = client_.List(kPod, {.ns = "default", .limit = 2});
  ASSERT_EQ(page->items.size(), 2U);
  const std::string token = page->continue_token;
  page = client_.List(kPod, {.ns = "default", .limit = 2, .continue_token = token});
  ASSERT_EQ(page->items.size(), 1U);
  EXPECT_EQ(NameOf(page->items[0]).name, "c");
  EXPECT_EQ(page->continue_token, "");
  client_.Compact();
  EXPECT_EQ(client_.List(kPod, {.continue_token = token}).status().code(), Code::kGone);
}

TEST_F(FakeClientTest, AWatchSeesWhatBeginsAndEndsToMatch) {
  std::vector<std::string> seen;
  std::stop_source stop;
  const WatchOptions options{.label_selector = "app=elephas",
                             .resource_version = client_.List(kPod, {})->resource_version};
  client_.Put(kPod, Named("p"));
  client_.Put(kPod, Named("p", {{"metadata", {{"labels", {{"app", "elephas"}}}}}}));
  client_.Put(kPod, Named("p", {{"metadata", {{"labels", {{"app", "kafka"}}}}}}));
  client_.Bookmark();
  const Status end = client_.Watch(
      kPod, options,
      [&](const WatchEvent& event) {
        seen.push_back(std::to_string(static_cast<int>(event.type)) + NameOf(event.object).name);
        if (event.type == WatchEventType::kBookmark) stop.request_stop();
      },
      stop.get_token());
  EXPECT_TRUE(end.ok());
  EXPECT_THAT(seen, ElementsAre("0p", "2p", "3"));
}

TEST_F(FakeClientTest, AnOldWatchIsGoneAndAClosedOneEndsWell) {
  client_.Put(kPod, Named("p"));
  client_.Compact();
  EXPECT_EQ(client_.Watch(kPod, {.resource_version = "1"}, [](const WatchEvent&) {}, {}).code(),
            Code::kGone);
  Status end = Internal("still running");
  std::jthread watcher([&] { end = client_.Watch(kPod, {}, [](const WatchEvent&) {}, {}); });
  ASSERT_TRUE(client_.WaitForWatches(kPod, 1));
  client_.CloseWatches();
  watcher.join();
  EXPECT_TRUE(end.ok());
}

}  // namespace
}  // namespace elephas::kube
