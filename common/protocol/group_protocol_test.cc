#include "common/protocol/group_protocol.h"

#include <gtest/gtest.h>

namespace elephas {
namespace {

TEST(GroupProtocol, APlaceSurvivesTheWay) {
  GroupPlace place;
  place.state = GroupPlace::State::kConnect;
  place.generation = Generation(3);
  place.rank = 1;
  place.world = 4;
  place.id = std::string("\x00\xff\x10 any", 7);
  place.rounds = 9;
  place.version = Version(17);
  place.epoch = Epoch(2);
  place.batch = 5;
  place.current = true;
  place.reason = "why";
  const Result<GroupPlace> back = GroupPlaceFromJson(ToJson(place));
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(ToJson(*back), ToJson(place));
  EXPECT_EQ(back->id, place.id);
}

TEST(GroupProtocol, StepsSurviveTheWay) {
  const GroupSteps steps{{Incarnation(1), Generation(2), "w", Version(3), Version(5)},
                         {{Partition(4), {1, 3}, 10, {{{"loss", {"mean", {1.5, 10}}}}}}}};
  const Result<GroupSteps> back = GroupStepsFromJson(ToJson(steps));
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(ToJson(*back), ToJson(steps));
}

TEST(GroupProtocol, WhatIsWrongIsRefused) {
  nlohmann::json steps =
      ToJson(GroupSteps{{Incarnation(1), Generation(2), "w", Version(3), Version(5)},
                        {{Partition(4), {1, 3}, 10, {}}}});
  const auto refused = [&](const char* pointer, const nlohmann::json& value) {
    nlohmann::json changed = steps;
    changed[nlohmann::json::json_pointer(pointer)] = value;
    return !GroupStepsFromJson(changed).ok();
  };
  EXPECT_TRUE(refused("/version", 3));
  EXPECT_TRUE(refused("/generation", 0));
  EXPECT_TRUE(refused("/steps", "all"));
  EXPECT_TRUE(refused("/steps/0/batches", {3, 1}));
  EXPECT_TRUE(refused("/steps/0/batches", {1, 3, 5}));
  EXPECT_TRUE(refused("/steps/0/metrics", nullptr));
  EXPECT_TRUE(refused("/steps/0/partition", -1));
  EXPECT_TRUE(refused("/extra", 1));
}

TEST(GroupProtocol, HexadecimalDigitsAreBytes) {
  EXPECT_EQ(ToHex(std::string("\x00\x7f\xff", 3)), "007fff");
  EXPECT_EQ(FromHex("007fff").value(), std::string("\x00\x7f\xff", 3));
  EXPECT_FALSE(FromHex("7").ok());
  EXPECT_FALSE(FromHex("0g").ok());
  EXPECT_FALSE(FromHex("FF").ok());
}

}  // namespace
}  // namespace elephas
