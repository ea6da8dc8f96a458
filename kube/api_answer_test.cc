#include "kube/api_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace elephas::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ResourcePathTest, FollowsGroupNamespaceNameAndSubresource) {
  EXPECT_EQ(ResourcePath(kPod, {"ns", "p"}, "log", {{"follow", "true"}, {"container", ""}}),
            "/api/v1/namespaces/ns/pods/p/log?follow=true");
  EXPECT_EQ(ResourcePath(kElephasJob, {}, "", {{"labelSelector", "a in (b,c)"}, {"limit", "5"}}),
            "/apis/elephas.dev/v1alpha1/elephasjobs?labelSelector=a%20in%20%28b%2Cc%29&limit=5");
  EXPECT_EQ(ResourcePath(kNode, {"ignored", "n"}, "", {}), "/api/v1/nodes/n");
  // A name from the command line stays one name.
  EXPECT_EQ(ResourcePath(kPod, {"ns", "../secrets?x"}, "", {}),
            "/api/v1/namespaces/ns/pods/..%2Fsecrets%3Fx");
}

TEST(StatusOfAnswerTest, RetryAfterComesFromTheHeaderOrTheDetails) {
  EXPECT_EQ(StatusOfAnswer(503, "", std::chrono::seconds(3)).retry_after(),
            std::chrono::seconds(3));
  EXPECT_EQ(StatusOfAnswer(429, R"({"kind":"Status","details":{"retryAfterSeconds":4}})", {})
                .retry_after(),
            std::chrono::seconds(4));
}

TEST(StatusOfAnswerTest, WhatIsNoStatusIsQuotedInOneLine) {
  std::string page(1'000, 'x');
  page.append("\n");
  const Status status = StatusOfAnswer(502, page, {});
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_LT(status.message().size(), 400U);
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
}

TEST(WatchLineTest, EventsComeWithTheirObjects) {
  const auto event = ParseWatchLine(R"({"type":"MODIFIED","object":{"metadata":{"name":"p"}}})");
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->type, WatchEventType::kModified);
  EXPECT_EQ(NameOf(event->object).name, "p");
}

TEST(WatchLineTest, ErrorsBecomeTheirCode) {
  EXPECT_EQ(
      ParseWatchLine(R"({"type":"ERROR","object":{"code":410,"reason":"Gone"}})").status().code(),
      Code::kGone);
  EXPECT_EQ(ParseWatchLine(R"({"type":"ERROR","object":{"reason":"Expired","message":"m"}})")
                .status()
                .code(),
            Code::kGone);
  EXPECT_EQ(
      ParseWatchLine(R"({"type":"ERROR","object":{"code":500,"message":"m"}})").status().code(),
      Code::kUnavailable);
}

TEST(WatchLineTest, AnythingElseIsUnavailable) {
  for (const char* line : {"", "x", "[]", "{}", R"({"type":"ADDED"})",
                           R"({"type":"ADDED","object":[]})", R"({"type":"NEW","object":{}})"}) {
    EXPECT_EQ(ParseWatchLine(line).status().code(), Code::kUnavailable) << line;
  }
}

TEST(LineSplitterTest, LinesComeWholeHoweverTheyArrive) {
  std::vector<std::string> lines;
  LineSplitter splitter(100, [&](std::string_view line) {
    lines.emplace_back(line);
    return OkStatus();
  });
  EXPECT_TRUE(splitter.Add("one\ntw").ok());
  EXPECT_TRUE(splitter.Add("").ok());
  EXPECT_TRUE(splitter.Add("o\n\nthree\nfo").ok());
  EXPECT_THAT(lines, ElementsAre("one", "two", "three"));
  EXPECT_EQ(splitter.rest(), "fo");
}

TEST(LineSplitterTest, ALineThatIsTooLongIsRefusedBeforeItIsKept) {
  LineSplitter splitter(10, [](std::string_view) { return OkStatus(); });
  EXPECT_TRUE(splitter.Add("0123456789").ok());
  EXPECT_EQ(splitter.Add("0").code(), Code::kUnavailable);
  EXPECT_EQ(splitter.rest().size(), 10U);
}

TEST(LineSplitterTest, AnErrorOfTheTakerStopsTheSplitting) {
  int taken = 0;
  LineSplitter splitter(100, [&](std::string_view) -> Status {
    ++taken;
    return Gone("too old");
  });
  EXPECT_EQ(splitter.Add("a\nb\n").code(), Code::kGone);
  EXPECT_EQ(taken, 1);
}

}  // namespace
}  // namespace elephas::kube
