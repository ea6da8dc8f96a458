#include "common/base/timestamp.h"

#include <gtest/gtest.h>

namespace elephas::kube {
namespace {

TEST(TimestampTest, TextIsWhatKubernetesWrites) {
  EXPECT_EQ(TimeText(1'700'000'000'987), "2023-11-14T22:13:20Z");
  EXPECT_EQ(MicroTimeText(1'700'000'000'987), "2023-11-14T22:13:20.987000Z");
  EXPECT_EQ(TimeText(0), "1970-01-01T00:00:00Z");
}

struct ParseCase {
  const char* name;
  const char* text;
  std::optional<std::int64_t> millis;
};
class TimestampParseTest : public testing::TestWithParam<ParseCase> {};

TEST_P(TimestampParseTest, Reads) { EXPECT_EQ(ParseTime(GetParam().text), GetParam().millis); }

INSTANTIATE_TEST_SUITE_P(
    , TimestampParseTest,
    testing::Values(ParseCase{"WholeSeconds", "2023-11-14T22:13:20Z", 1'700'000'000'000},
                    ParseCase{"Micros", "2023-11-14T22:13:20.987654Z", 1'700'000'000'987},
                    ParseCase{"OneDigit", "2023-11-14T22:13:20.5Z", 1'700'000'000'500},
                    ParseCase{"AnOffset", "2023-11-14T23:43:20+01:30", 1'700'000'000'000},
                    ParseCase{"AWesternOffset", "2023-11-14T20:13:20-02:00", 1'700'000'000'000},
                    ParseCase{"NoOffset", "2023-11-14T22:13:20", std::nullopt},
                    ParseCase{"NoSuchDay", "2023-02-30T22:13:20Z", std::nullopt},
                    ParseCase{"NoSuchHour", "2023-02-03T24:13:20Z", std::nullopt},
                    ParseCase{"Signs", "2023--1-03T22:13:20Z", std::nullopt},
                    ParseCase{"Rest", "2023-11-14T22:13:20Zzz", std::nullopt},
                    ParseCase{"Nothing", "", std::nullopt}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace elephas::kube
