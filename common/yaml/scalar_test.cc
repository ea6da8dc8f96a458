#include "common/yaml/scalar.h"

#include <gtest/gtest.h>

namespace elephas::manifest {
namespace {

using nlohmann::json;

TEST(SentNumber, WholeOnesAreIntegersUpToSixtyThreeBits) {
  EXPECT_EQ(SentNumber(3.0)->dump(), "3");
  EXPECT_EQ(SentNumber(-0.0)->dump(), "0");
  EXPECT_EQ(SentNumber(1e15)->dump(), "1000000000000000");
  // The shortest text, filled up with zeros.
  EXPECT_EQ(SentNumber(9223372036854774784.0)->dump(), "9223372036854775000");
  EXPECT_TRUE(SentNumber(9223372036854775808.0)->is_number_float());
  EXPECT_TRUE(SentNumber(1e21)->is_number_float());
  EXPECT_EQ(SentNumber(0.5)->dump(), "0.5");
  EXPECT_EQ(SentNumber(std::numeric_limits<double>::infinity()), std::nullopt);
}

TEST(KeyName, IsTheTextOfTheValue) {
  const std::pair<const char*, const char*> rows[] = {
      {"a", "a"},
      {"010", "8"},
      {"1.50", "1.5"},
      {"yes", "true"},
      {"Off", "false"},
      {"1e10", "1e+10"},
      {"1234567.0", "1.234567e+06"},
      {"0.1", "0.1"},
      {"0.00001", "1e-05"},
      {"100.0", "100"},
      {"-.INF", "-.inf"},
      {".nan", ".nan"},
      {"-0.0", "-0"},
      {"0.0625", "0.0625"},
      {"2026-01-01", "2026-01-01"},
  };
  for (const auto& [text, name] : rows) EXPECT_EQ(KeyName(text), name) << text;
  for (const char* text : {"", "~", "null", "18446744073709551615"}) {
    EXPECT_EQ(KeyName(text), std::nullopt) << text;
  }
}

TEST(Timestamps, AreDatesThatThereAre) {
  for (const char* text : {"2026-01-01", "2026-1-2", "2024-02-29", "2026-1-2 3:4:5",
                           "2026-01-01T00:00:00Z", "2026-01-01t23:59:59.5+01:00"}) {
    EXPECT_TRUE(IsTimestamp(text)) << text;
  }
  for (const char* text :
       {"", "2026", "2026-13-01", "2026-02-29", "2026-01-00", "26-01-01", "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01x", "2026-01-01 0:0:0."}) {
    EXPECT_FALSE(IsTimestamp(text)) << text;
  }
}

TEST(Base64, IsPaddedAndMayBeBroken) {
  EXPECT_EQ(FromBase64(""), "");
  EXPECT_EQ(FromBase64("aGk="), "hi");
  EXPECT_EQ(FromBase64("aG\nk="), "hi");
  EXPECT_EQ(FromBase64("aA=="), "h");
  EXPECT_EQ(FromBase64("aGlo"), "hih");
  for (const char* bad : {"aGk", "a", "aG=k", "====", "aGk=aGk=", "a b=", "aGk=="}) {
    EXPECT_EQ(FromBase64(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace elephas::manifest
