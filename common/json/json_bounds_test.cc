#include "common/json/json_bounds.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>
#include <vector>

namespace elephas {
namespace {

using nlohmann::json;

TEST(ParseBounded, WhatIsWithinItsBoundsIsParsed) {
  const auto value = ParseBounded(R"({"a": [1, 2.5, "x", null, true, {}]})", {});
  ASSERT_TRUE(value.ok()) << value.status().message();
  EXPECT_EQ(*value, json::parse(R"({"a": [1, 2.5, "x", null, true, {}]})"));
}

TEST(ParseBounded, EachBoundIsNamed) {
  const auto refusal = [](std::string_view text, const JsonBounds& bounds) {
    return ParseBounded(text, bounds).status().message();
  };
  EXPECT_EQ(refusal("[1, 2]", {.bytes = 5}), "has 6 bytes, more than 5");
  EXPECT_EQ(refusal("[[[]]]", {.depth = 2}), "is nested deeper than 2 levels");
  EXPECT_TRUE(ParseBounded("[[],[]]", {.depth = 2}).ok());
  EXPECT_EQ(refusal("[1, 2, 3]", {.nodes = 3}), "holds more than 3 values");
  EXPECT_TRUE(ParseBounded("[1, 2]", {.nodes = 3}).ok());
  EXPECT_EQ(refusal(R"({"a": 1, "b": 2})", {.nodes = 4}), "holds more than 4 values");
  for (const char* text : {"", "[1", "{\"a\"}", "\"\\ud800\"", "1e999", "nul", "[1] x"}) {
    EXPECT_EQ(ParseBounded(text, {}).status().code(), Code::kInvalid) << text;
  }
}

// Issue 11: an answer of 4 MiB of brackets took the operator to 320 MB.
TEST(ParseBounded, FourMebibytesOfBracketsCostNoMoreThanTheirText) {
  const std::string brackets(std::size_t{4} << 20, '[');
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const JsonBounds wide{.bytes = std::size_t{8} << 20, .depth = 100, .nodes = 10'000};
  EXPECT_FALSE(ParseBounded(brackets, wide).ok());
  std::string flat = "[";
  while (flat.size() < brackets.size()) flat += "[],";
  flat += "0]";
  EXPECT_FALSE(ParseBounded(flat, wide).ok());
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 16 << 10);  // in KiB
}

std::vector<std::string> Pieces(Status (*walk)(std::string_view, const JsonPiece&),
                                std::string_view text) {
  std::vector<std::string> out;
  const Status status = walk(text, [&](std::string_view key, std::string_view value) {
    out.push_back(std::string(key) + "=" + std::string(value));
    return OkStatus();
  });
  if (!status.ok()) out.push_back(status.message());
  return out;
}

TEST(JsonPieces, AreCutOutAsTheyStand) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(Pieces(ForEachMember, R"( {"a": 1 , "b\"" : {"c": "}]"}, "d":[[], {}] } )"),
            (Texts{"a=1", "b\\\"={\"c\": \"}]\"}", "d=[[], {}]"}));
  EXPECT_EQ(Pieces(ForEachEntry, R"([ {"a":[1]}, "x,\\" ,3 ])"),
            (Texts{"={\"a\":[1]}", "=\"x,\\\\\"", "=3"}));
  EXPECT_EQ(Pieces(ForEachMember, "{}"), Texts{});
  EXPECT_EQ(Pieces(ForEachEntry, "[]"), Texts{});
}

TEST(JsonPieces, TextThatIsNoSuchThingIsRefused) {
  for (const char* text : {"", "[", "[1", "[1 2", "[,]", "[1,]x", "{}", "[\"a]", "[[1]"}) {
    const auto pieces = Pieces(ForEachEntry, text);
    ASSERT_FALSE(pieces.empty()) << text;
    EXPECT_EQ(pieces.back(), "is no JSON list") << text;
  }
  for (const char* text :
       {"", "{", "{\"a\"}", "{\"a\" 1}", "{a: 1}", "{\"a\":1", "[]", "{\"a\":}"}) {
    const auto pieces = Pieces(ForEachMember, text);
    ASSERT_FALSE(pieces.empty()) << text;
    EXPECT_EQ(pieces.back(), "is no JSON mapping") << text;
  }
}

}  // namespace
}  // namespace elephas
