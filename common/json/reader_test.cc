#include "common/json/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace elephas {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(JsonReaderTest, ReadsEveryKindOfField) {
  const json input{{"i", 7}, {"n", 0.5}, {"s", "text"}, {"b", true}, {"a", {1, 2}}};
  JsonReader reader(input, "thing");
  EXPECT_EQ(reader.Int("i"), 7);
  EXPECT_EQ(reader.Number("n"), 0.5);
  EXPECT_EQ(reader.String("s"), "text");
  EXPECT_TRUE(reader.Bool("b"));
  EXPECT_EQ(reader.Any("a"), json({1, 2}));
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.Finish().ok());
}

TEST(JsonReaderTest, AnIntegerIsANumberToo) {
  const json input{{"n", 3}};
  JsonReader reader(input, "thing");
  EXPECT_EQ(reader.Number("n"), 3.0);
  EXPECT_TRUE(reader.Finish().ok());
}

TEST(JsonReaderTest, TheFirstProblemIsTheOneThatIsTold) {
  const json input{{"a", "x"}};
  JsonReader reader(input, "thing");
  (void)reader.Int("a");
  (void)reader.Int("b");
  reader.Fail("something else");
  EXPECT_EQ(reader.Finish().message(), "thing: 'a' must be an integer");
}

TEST(JsonReaderTest, HasIsFalseForNullAndMarksTheFieldAsKnown) {
  const json input{{"a", nullptr}, {"b", 1}};
  JsonReader reader(input, "thing");
  EXPECT_FALSE(reader.Has("a"));
  EXPECT_TRUE(reader.Has("b"));
  EXPECT_FALSE(reader.Has("c"));
  EXPECT_TRUE(reader.Finish().ok());
}

struct Refusal {
  std::string name;
  json input;
  std::function<void(JsonReader&)> read;
  std::string message;
};
void PrintTo(const Refusal& one, std::ostream* out) { *out << one.name; }

class JsonReaderRefusalTest : public testing::TestWithParam<Refusal> {};

void ReadInt(JsonReader& reader) { (void)reader.Int("a", 0, 10); }

INSTANTIATE_TEST_SUITE_P(
    , JsonReaderRefusalTest,
    testing::Values(
        Refusal{"NotAnObject", json::array(), ReadInt, "must be an object"},
        Refusal{"NullIsNoObject", nullptr, ReadInt, "must be an object"},
        Refusal{"Missing", json::object(), ReadInt, "'a' is missing"},
        Refusal{"Unknown", {{"a", 1}, {"b", 2}}, ReadInt, "unknown field 'b'"},
        Refusal{"TooSmall", {{"a", -1}}, ReadInt, "'a' is -1, outside 0..10"},
        Refusal{"TooLarge", {{"a", 11}}, ReadInt, "'a' is 11, outside 0..10"},
        Refusal{"Fraction", {{"a", 1.0}}, ReadInt, "'a' must be an integer"},
        Refusal{"BooleanIsNoInteger", {{"a", true}}, ReadInt, "'a' must be an integer"},
        Refusal{"BeyondInt64", {{"a", 18446744073709551615U}}, ReadInt, "'a' must be an integer"},
        Refusal{"TextIsNoNumber",
                {{"a", "1"}},
                [](JsonReader& r) { (void)r.Number("a"); },
                "'a' must be a number"},
        Refusal{"NumberIsNoText",
                {{"a", 1}},
                [](JsonReader& r) { (void)r.String("a"); },
                "'a' must be a string"},
        Refusal{"NumberIsNoBoolean",
                {{"a", 1}},
                [](JsonReader& r) { (void)r.Bool("a"); },
                "'a' must be true or false"},
        Refusal{"AnyMustBeThere", json::object(), [](JsonReader& r) { (void)r.Any("a"); },
                "'a' is missing"}),
    [](const auto& each) { return each.param.name; });

TEST_P(JsonReaderRefusalTest, NamesTheCulprit) {
  JsonReader reader(GetParam().input, "thing");
  GetParam().read(reader);
  const Status status = reader.Finish();
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_THAT(status.message(), HasSubstr("thing: " + GetParam().message));
}

}  // namespace
}  // namespace elephas
