#include "common/json/bounded_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace elephas {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(BoundedJsonTest, WhatIsWithinTheLimitsIsReadAsTheLibraryReadsIt) {
  for (const char* text :
       {"null", "true", "-7", "18446744073709551615", "0.1", "1e300", "\"\\u00e9\\n\"", "[]", "{}",
        "[1, [2, {\"a\": [null, false]}], \"x\"]", R"({"b": {"a": {}}, "a": [[], {}, ""], "": 0})",
        " [ 1 , 2 ] ", R"({"a": 1, "a": [2, 3]})"}) {
    const auto parsed = ParseBoundedJson(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status().message();
    EXPECT_EQ(*parsed, json::parse(text)) << text;
    EXPECT_EQ(parsed->type(), json::parse(text).type()) << text;
  }
}

TEST(BoundedJsonTest, TheLastAllowedValueIsReadAndTheNextIsNot) {
  // The array, and three in it.
  EXPECT_TRUE(ParseBoundedJson("[1,2,3]", {.max_nodes = 4}).ok());
  EXPECT_EQ(ParseBoundedJson("[1,2,3]", {.max_nodes = 3}).status().message(), "more than 3 values");
  EXPECT_TRUE(ParseBoundedJson(R"({"a":1})", {.max_nodes = 2}).ok());
  EXPECT_FALSE(ParseBoundedJson(R"({"a":1})", {.max_nodes = 1}).ok());
  EXPECT_TRUE(ParseBoundedJson(R"([[{"a":1}]])", {.max_depth = 3}).ok());
  EXPECT_EQ(ParseBoundedJson(R"([[{"a":1}]])", {.max_depth = 2}).status().message(),
            "nested deeper than 2 levels");
  EXPECT_TRUE(ParseBoundedJson("1", {.max_depth = 0}).ok());
  EXPECT_TRUE(ParseBoundedJson("1234", {.max_bytes = 4}).ok());
  EXPECT_EQ(ParseBoundedJson("1234", {.max_bytes = 3}).status().message(),
            "JSON of 4 bytes, the limit is 3");
}

TEST(BoundedJsonTest, SiblingsDoNotAddUpToADepth) {
  std::string text = "[";
  for (int i = 0; i < 1000; ++i) text.append("[[]],");
  text.append("0]");
  EXPECT_TRUE(ParseBoundedJson(text, {.max_depth = 3}).ok());
}

TEST(BoundedJsonTest, SixteenMegabytesOfBracketsAreRefusedAtOnce) {
  const std::string text(std::size_t{16} << 20, '[');
  const JsonLimits limits{.max_bytes = text.size()};
  EXPECT_THAT(ParseBoundedJson(text, limits).status().message(), HasSubstr("deeper than 64"));
}

TEST(BoundedJsonTest, WhatIsNotJsonIsRefusedWithThePlace) {
  for (const char* text : {"", "[1,]", "{", "nul", "[1] 2", "\"\xff\"", "1e999", "{\"a\" 1}"}) {
    const auto parsed = ParseBoundedJson(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.status().code(), Code::kInvalid);
    EXPECT_THAT(parsed.status().message(), HasSubstr("not JSON: wrong at byte"));
  }
}

TEST(BoundedJsonTest, TwoEqualKeysAreToldOnlyToWhomAsks) {
  const JsonLimits unique{.unique_keys = true};
  EXPECT_EQ(ParseBoundedJson(R"({"a": {"b": 1, "c": 2, "b": 3}})", unique).status().message(),
            "'b' appears twice");
  EXPECT_TRUE(ParseBoundedJson(R"({"a": {"b": 1}, "b": {"b": 1}})", unique).ok());
}

}  // namespace
}  // namespace elephas
