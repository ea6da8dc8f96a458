#include "paramserver/job/incarnations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace elephas {
namespace {

PeerService::PeerReport Report(std::int64_t incarnation, std::vector<std::int64_t> cuts,
                               std::int64_t newest = 0) {
  return {"boot", "http://1", Incarnation(incarnation), std::move(cuts), Incarnation(newest), ""};
}

TEST(IncarnationsTest, EachIsNewerThanAllBefore) {
  Incarnations one(1, 0, 7);
  EXPECT_FALSE(one.Agreed());
  one.Begin(Incarnation(5));
  EXPECT_TRUE(one.Agreed());
  one.Lose();
  EXPECT_FALSE(one.Agreed());
  one.Begin(Incarnation(2));
  EXPECT_EQ(one.current(), Incarnation(6));
  one.StartFrom(3, "run", Incarnation(9), 11);
  EXPECT_EQ(one.current(), Incarnation(10));
  EXPECT_EQ(one.cut(), 3);
  EXPECT_EQ(one.run(), "run");
  EXPECT_EQ(one.seed(), 11U);
  one.Begin(Incarnation(0));
  EXPECT_EQ(one.cut(), 0);
  EXPECT_EQ(one.run(), "");
  EXPECT_EQ(one.seed(), 11U);  // outlives it
}

TEST(IncarnationsTest, Server0ChoosesTheNewestCommonCutAboveAllThatWasSeen) {
  Incarnations two(2, 0, 7);
  const auto report = Report(0, {1, 2}, 50);
  two.Seen(report.newest);
  EXPECT_TRUE(two.Register(1, report));
  EXPECT_TRUE(two.MustChoose(1, report, true));
  const Incarnations::Choice choice = two.Choose({2, 3}, 10);
  EXPECT_EQ(choice.cut, 2);
  EXPECT_EQ(choice.incarnation, Incarnation(51));
  EXPECT_EQ(two.Choose({}, 1000).incarnation, Incarnation(1000));
}

TEST(IncarnationsTest, AServerThatCannotFollowEndsTheIncarnation) {
  Incarnations two(2, 0, 7);
  two.Register(1, Report(0, {2}));
  two.Begin(Incarnation(5));
  two.StartFrom(2, "run", Incarnation(4), 7);
  EXPECT_FALSE(two.Agreed());
  two.Register(1, Report(5, {2}));
  EXPECT_TRUE(two.Agreed());
  EXPECT_FALSE(two.MustChoose(1, Report(0, {2}), false));  // it will follow
  EXPECT_EQ(two.current(), Incarnation(5));
  EXPECT_TRUE(two.MustChoose(1, Report(0, {1}), false));  // it lacks the cut
  EXPECT_EQ(two.current(), Incarnation(0));
}

TEST(IncarnationsTest, TheOthersTakeUpExactlyWhatServer0Says) {
  Incarnations other(2, 1, 7);
  other.Begin(Incarnation(9));
  other.TakeUp(Incarnation(8), 3);
  EXPECT_EQ(other.current(), Incarnation(8));
  EXPECT_EQ(other.seed(), 3U);
  EXPECT_TRUE(other.Agreed());
}

}  // namespace
}  // namespace elephas
