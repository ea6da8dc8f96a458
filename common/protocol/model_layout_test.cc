#include "common/protocol/model_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace elephas {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Valid() {
  return json::parse(R"({
    "weights": [
      {"name": "dense/kernel", "shape": [2, 3], "trainable": true, "offset": 0, "size": 6},
      {"name": "dense/bias", "shape": [3], "trainable": true, "offset": 6, "size": 3},
      {"name": "norm/moving_mean", "shape": [3], "trainable": false, "offset": 9, "size": 3},
      {"name": "norm/count", "shape": [], "trainable": false, "offset": 12, "size": 1}],
    "trainableElements": 9, "totalElements": 13,
    "optimizer": {"class_name": "SGD"}, "slotNames": ["momentum"], "examples": 100})");
}

TEST(ModelLayoutTest, SurvivesTheWayThroughJson) {
  const Result<ModelLayout> layout = ModelLayoutFromJson(Valid());
  ASSERT_TRUE(layout.ok()) << layout.status().message();
  EXPECT_EQ(layout->weights.size(), 4U);
  EXPECT_EQ(layout->weights[1].offset, 6);
  EXPECT_EQ(layout->trainable_elements, 9);
  EXPECT_EQ(layout->examples, 100);
  EXPECT_EQ(ToJson(*layout), Valid());
  EXPECT_EQ(ModelLayoutFromJson(ToJson(*layout)).value(), *layout);
}

TEST(ModelLayoutTest, AModelMayHaveNothingToTrainOrNoWeightsAtAll) {
  json frozen = Valid();
  for (json& weight : frozen["weights"]) weight["trainable"] = false;
  frozen["trainableElements"] = 0;
  frozen["optimizer"] = nullptr;
  EXPECT_TRUE(ModelLayoutFromJson(frozen).ok());

  json empty = Valid();
  empty["weights"] = json::array();
  empty["trainableElements"] = 0;
  empty["totalElements"] = 0;
  EXPECT_TRUE(ModelLayoutFromJson(empty).ok());
}

TEST(ModelLayoutTest, TheOptimizerSeesTheTrainableWeightsOnly) {
  const std::vector<WeightSlice> slices = TrainableSlices(ModelLayoutFromJson(Valid()).value());
  ASSERT_EQ(slices.size(), 2U);
  EXPECT_EQ(slices[1].name, "dense/bias");
  EXPECT_EQ(slices[1].offset, 6);
  EXPECT_EQ(slices[1].size, 3);
}

struct Refusal {
  std::string name;
  std::string path;  // of what changes in Valid()
  json value;
  std::string message;
};
void PrintTo(const Refusal& one, std::ostream* out) { *out << one.name; }

class ModelLayoutRefusalTest : public testing::TestWithParam<Refusal> {};

INSTANTIATE_TEST_SUITE_P(
    , ModelLayoutRefusalTest,
    testing::Values(
        Refusal{"AGap", "/weights/1/offset", 7, "'dense/bias' starts at 7 instead of 6"},
        Refusal{"AnOverlap", "/weights/1/offset", 5, "starts at 5 instead of 6"},
        Refusal{"ASizeThatIsNotTheShapes", "/weights/0/size", 7,
                "'size' of 'dense/kernel' is 7, its shape has 6 elements"},
        Refusal{"TheSameNameTwice", "/weights/1/name", "dense/kernel",
                "'dense/kernel' appears twice"},
        Refusal{"NoName", "/weights/1/name", "", "'name' is empty"},
        Refusal{"TrainableAfterTheRest", "/weights/3/trainable", true,
                "'norm/count' comes after a weight that is not trainable"},
        Refusal{"AWrongTotal", "/totalElements", 14, "9 trainable and 13 elements in all"},
        Refusal{"AWrongTrainableCount", "/trainableElements", 8, "not 8 and 13"},
        Refusal{"ANegativeExtent", "/weights/0/shape", {-2, -3}, "'shape' must hold sizes"},
        Refusal{"AShapeThatOverflows",
                "/weights/0/shape",
                {1LL << 40, 1LL << 40, 1LL << 40},
                "'shape' is too large"},
        Refusal{"AShapeThatIsNoArray", "/weights/0/shape", 6, "'shape' must"},
        Refusal{"AnExtentThatIsText", "/weights/0/shape", {"2", 3}, "'shape' must hold sizes"},
        Refusal{"AnExtentBeyondInt64",
                "/weights/0/shape",
                {18446744073709551615U, 3},
                "'shape' must hold sizes"},
        Refusal{"NoExamples", "/examples", 0, "'examples' is 0"},
        Refusal{"AnOptimizerThatIsANumber", "/optimizer", 3, "'optimizer' must be"},
        Refusal{"SlotNamesThatAreNumbers", "/slotNames", {1}, "'slotNames' must hold"},
        Refusal{"TooManySlots", "/slotNames", std::vector<std::string>(17, "s"),
                "'slotNames' must be a short array"},
        Refusal{"WeightsThatAreNoArray", "/weights", 1, "'weights' must be an array"},
        Refusal{"AWeightThatIsNoObject", "/weights/0", 1, "weight: must be an object"},
        Refusal{"AnUnknownField", "/weights/0/dtype", "f4", "unknown field 'dtype'"}),
    [](const auto& each) { return each.param.name; });

TEST_P(ModelLayoutRefusalTest, NamesTheCulprit) {
  json input = Valid();
  input[json::json_pointer(GetParam().path)] = GetParam().value;
  const Result<ModelLayout> layout = ModelLayoutFromJson(input);
  ASSERT_FALSE(layout.ok());
  EXPECT_EQ(layout.status().code(), Code::kInvalid);
  EXPECT_THAT(layout.status().message(), HasSubstr(GetParam().message));
}

TEST(ModelLayoutTest, EveryFieldIsNeeded) {
  const json valid = Valid();
  for (const auto& [name, value] : valid.items()) {
    json less = Valid();
    less.erase(name);
    EXPECT_THAT(ModelLayoutFromJson(less).status().message(),
                HasSubstr("'" + name + "' is missing"));
  }
}

TEST(ModelLayoutTest, AnythingButAnObjectIsRefused) {
  for (const json& input : {json(), json(3), json("text"), json::array({1})}) {
    EXPECT_EQ(ModelLayoutFromJson(input).status().code(), Code::kInvalid) << input;
  }
}

}  // namespace
}  // namespace elephas
