#include "worker/data/number_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <string>

namespace elephas {
namespace {

TEST(ParseFloatPrefixTest, ShortDecimalsHaveTheBitsOfFromChars) {
  std::uint64_t state = 7;
  for (int i = 0; i < 200000; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    std::string text = std::to_string((state >> 40) % 20000000);
    const std::size_t point = (state >> 33) % 10;
    if (point <= text.size()) text.insert(point, ".");
    if ((state >> 32) % 2 == 0) text.insert(0, "-");
    if ((state >> 20) % 16 == 0) text += "e-3";
    text += ',';
    float expected = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), expected);
    float value = 0;
    const char* const stop = ParseFloatPrefix(text.data(), text.data() + text.size(), value);
    ASSERT_EQ(error, std::errc()) << text;
    ASSERT_EQ(stop, end) << text;
    ASSERT_EQ(std::bit_cast<std::uint32_t>(value), std::bit_cast<std::uint32_t>(expected)) << text;
  }
}

TEST(ParseFloatPrefixTest, WhatIsNoPlainNumberIsLeftToTheSlowPath) {
  for (const std::string text : {"", "-", ".", "-.", "+1", " 1", "x", "nan", "inf", "1e999"}) {
    float value = 0;
    EXPECT_EQ(ParseFloatPrefix(text.data(), text.data() + text.size(), value), nullptr) << text;
  }
  const std::string two = "1.2.3";
  float value = 0;
  EXPECT_EQ(ParseFloatPrefix(two.data(), two.data() + two.size(), value), two.data() + 3);
  EXPECT_EQ(value, 1.2F);
}

TEST(ParseIntegerTest, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(ParseInteger("+7"), 7);
  EXPECT_EQ(ParseInteger("-9223372036854775808"), INT64_MIN);
  for (const char* text : {"", "+", "1.0", "1 ", "+-1", "9223372036854775808", "0x1"}) {
    EXPECT_EQ(ParseInteger(text), std::nullopt) << text;
  }
}

TEST(DescribeTest, ForeignBytesStayValidText) {
  EXPECT_EQ(Describe(NumberError::kNotANumber, "a\xff\x01z"), "'a??z' is not a number");
  std::string text(39, 'a'), shown = "'";
  shown.append(text).append("…' is not a number");
  text.append("\u00e9tude");
  EXPECT_EQ(Describe(NumberError::kNotANumber, text), shown);
}

}  // namespace
}  // namespace elephas
