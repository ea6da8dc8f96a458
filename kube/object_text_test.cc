#include "kube/object_text.h"

#include <gtest/gtest.h>

#include <vector>

#include "kube/api_answer.h"

namespace elephas::kube {
namespace {

using nlohmann::json;

const JsonBounds kSmall{.bytes = 300, .depth = 8, .nodes = 60};

json Job() {
  return {{"apiVersion", "elephas.dev/v1alpha1"},
          {"kind", "ElephasJob"},
          {"metadata",
           {{"name", "digits"},
            {"namespace", "ml"},
            {"uid", "u"},
            {"resourceVersion", "7"},
            {"generation", 2},
            {"labels", {{"a", "b"}}},
            {"managedFields", json::array({{{"manager", std::string(2'000, 'm')}}})}}},
          {"spec", {{"task", "train"}}},
          {"status", {{"state", "Running"}}}};
}

TEST(ObjectText, AnObjectComesWholeButForManagedFields) {
  json expected = Job();
  expected["metadata"].erase("managedFields");
  const auto object = ParseObject(Job().dump(), kSmall);
  ASSERT_TRUE(object.ok()) << object.status().message();
  EXPECT_EQ(*object, expected);
}

TEST(ObjectText, OfOneThatIsTooLargeItsIdentityAndStatusAreLeft) {
  json deep = 1;
  for (int i = 0; i < 20; ++i) deep = json::array({deep});
  const std::vector<std::pair<json, std::string>> specs{
      {{{"text", std::string(400, 'x')}}, "spec: has 411 bytes, more than 300"},
      {{{"deep", deep}}, "spec: is nested deeper than 8 levels"},
      {json(std::vector<int>(70, 1)), "spec: holds more than 60 values"}};
  for (const auto& [spec, why] : specs) {
    json job = Job();
    job["spec"] = spec;
    json expected = Job();
    expected.erase("spec");
    expected["metadata"].erase("labels");
    expected["metadata"].erase("managedFields");
    expected[kClipped] = why;
    const auto object = ParseObject(job.dump(), kSmall);
    ASSERT_TRUE(object.ok()) << object.status().message();
    EXPECT_EQ(*object, expected);
  }
  // A status that is too large itself is left out as well.
  json job = Job();
  job["status"] = {{"text", std::string(400, 'x')}};
  EXPECT_FALSE(ParseObject(job.dump(), kSmall)->contains("status"));
  EXPECT_TRUE(ParseObject(job.dump(), kSmall)->contains(kClipped));
}

TEST(ObjectText, OneBadObjectDoesNotHideTheOthersOfItsList) {
  json large = Job();
  large["metadata"]["name"] = "large";
  large["spec"]["text"] = std::string(400, 'x');
  const std::string body =
      R"({"kind":"ElephasJobList","metadata":{"resourceVersion":"9","continue":"c"},"items":[)" +
      large.dump() + R"(,5,{"metadata":{"name":"a"},"spec":{"x":1e999}},)" + Job().dump() + "]}";
  const auto page = ParseList(body, kSmall);
  ASSERT_TRUE(page.ok()) << page.status().message();
  ASSERT_EQ(page->items.size(), 3U);
  EXPECT_EQ(NameOf(page->items[0]).name, "large");
  EXPECT_EQ(NameOf(page->items[1]).name, "a");
  EXPECT_TRUE(page->items[1].contains(kClipped));
  EXPECT_EQ(NameOf(page->items[2]).name, "digits");
  EXPECT_EQ(page->unreadable, 1);
  EXPECT_EQ(page->resource_version, "9");
  EXPECT_EQ(page->continue_token, "c");
  EXPECT_EQ(ParseList(R"({"items":[{"metad)", kSmall).status().code(), Code::kUnavailable);
  EXPECT_EQ(ParseList(R"({"kind":"Status"})", kSmall).status().code(), Code::kUnavailable);
  EXPECT_TRUE(ParseList(R"({"items":null,"metadata":{}})", kSmall).ok());
}

TEST(ObjectText, AWatchGoesOnPastAnObjectThatIsTooLarge) {
  json large = Job();
  large["spec"]["text"] = std::string(400, 'x');
  const auto event = ParseWatchLine(json{{"type", "MODIFIED"}, {"object", large}}.dump(), kSmall);
  ASSERT_TRUE(event.ok()) << event.status().message();
  EXPECT_EQ(NameOf(event->object).name, "digits");
  EXPECT_TRUE(event->object.contains(kClipped));
}

}  // namespace
}  // namespace elephas::kube
