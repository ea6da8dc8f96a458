#include "common/base/utf8.h"

#include <gtest/gtest.h>

namespace elephas {
namespace {

const std::string kElephant = "象";  // three bytes

std::string Times(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

TEST(Utf8, ACutNeverSplitsACharacter) {
  const std::string text = Times("aé象🐘", 50);
  for (std::size_t bytes = 0; bytes <= text.size() + 1; ++bytes) {
    const auto head = Utf8Head(text, bytes), tail = Utf8Tail(text, bytes);
    EXPECT_LE(head.size(), bytes);
    EXPECT_LE(tail.size(), bytes);
    EXPECT_EQ(ValidUtf8(head), head) << bytes;
    EXPECT_EQ(ValidUtf8(tail), tail) << bytes;
    if (bytes >= 4) {
      EXPECT_GT(head.size() + 4, std::min(bytes, text.size()));
      EXPECT_GT(tail.size() + 4, std::min(bytes, text.size()));
    }
  }
}

TEST(Utf8, WhatIsShortenedSaysSo) {
  EXPECT_EQ(Shortened("elephant", 8), "elephant");
  EXPECT_EQ(Shortened("elephant", 7), "elep...");
  EXPECT_EQ(Shortened(Times(kElephant, 4), 11), kElephant + kElephant + "...");
}

TEST(Utf8, BytesThatAreNoneAreCutAnywhereAndReplaced) {
  const std::string noise(100, '\x80');
  EXPECT_EQ(Utf8Head(noise, 10).size(), 10U);
  EXPECT_GE(Utf8Tail(noise, 10).size(), 7U);
  for (const char* bad : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80",
                          "\xF5\x80\x80\x80", "\xF4\x90\x80\x80", "\xE8\xB1", "\xFF"}) {
    const std::string whole = ValidUtf8("a" + std::string(bad) + "b");
    EXPECT_NE(whole.find("\xEF\xBF\xBD"), std::string::npos) << bad;
    EXPECT_EQ(whole.front(), 'a');
    EXPECT_EQ(whole.back(), 'b');
    EXPECT_EQ(nlohmann::json::parse(nlohmann::json(whole).dump()), whole);
  }
  EXPECT_EQ(ValidUtf8("aé象🐘"), "aé象🐘");
}

TEST(Utf8, JsonGoesOutWhateverItHolds) {
  const nlohmann::json value{{"message", "cut: \xE8\xB1"}};
  EXPECT_THROW(static_cast<void>(value.dump()), nlohmann::json::exception);
  EXPECT_TRUE(nlohmann::json::accept(JsonText(value)));
}

}  // namespace
}  // namespace elephas
