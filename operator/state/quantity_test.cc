#include "operator/state/quantity.h"

#include <gtest/gtest.h>

#include <string>

namespace elephas {
namespace {

TEST(Quantity, IsReadAsKubernetesReadsIt) {
  struct Case {
    const char* text;
    double value;
  };
  const Case cases[] = {
      {"0", 0},
      {"1", 1},
      {"100m", 0.1},
      {"0.1", 0.1},
      {".5", 0.5},
      {"5.", 5},
      {"+1", 1},
      {"-1", -1},
      {"64Ki", 65536},
      {"1Mi", 1048576},
      {"1M", 1e6},
      {"1k", 1e3},
      {"1.5Gi", 1.5e0 * 1073741824},
      {"2G", 2e9},
      {"1Ti", 1099511627776.0},
      {"1e3", 1e3},
      {"1E3", 1e3},
      {"12e-1", 1.2},
      {"1e+2", 100},
      {"1E", 1e18},
      {"1Ei", 1152921504606846976.0},
      {"250u", 250e-6},
      {"10n", 10e-9},
      {"1P", 1e15},
      {"1Pi", 1125899906842624.0},
  };
  for (const Case& test : cases) {
    const auto value = ParseQuantity(test.text);
    ASSERT_TRUE(value) << test.text;
    EXPECT_DOUBLE_EQ(*value, test.value) << test.text;
  }
}

TEST(Quantity, AnythingElseIsNone) {
  for (const char* text : {"", "m", "Ki", "1K", "1mi", "1 Gi", " 1", "1.2.3", "--1", "e3", "1e",
                           "1e+", "1e99999", "0x10", "inf", "nan", "1,5", "."}) {
    EXPECT_FALSE(ParseQuantity(text)) << text;
  }
  EXPECT_FALSE(ParseQuantity(std::string(1'000'000, '9')));
}

TEST(Quantity, OfAFieldMayBeANumber) {
  EXPECT_EQ(QuantityOf(2), 2.0);
  EXPECT_EQ(QuantityOf(0.5), 0.5);
  EXPECT_EQ(QuantityOf("500m"), 0.5);
  EXPECT_FALSE(QuantityOf(nullptr));
  EXPECT_FALSE(QuantityOf(nlohmann::json::array({1})));
}

}  // namespace
}  // namespace elephas
