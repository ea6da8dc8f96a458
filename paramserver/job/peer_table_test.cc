#include "paramserver/job/peer_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace elephas {
namespace {

using testing::ElementsAre;

TEST(PeerTableTest, OneServerAgreesWithItself) {
  const PeerTable peers(1);
  EXPECT_TRUE(peers.AllHeard());
  EXPECT_TRUE(peers.AllAt(Incarnation(5)));
  EXPECT_EQ(peers.NewestCommonCut({1, 4, 2}), 4);
  EXPECT_EQ(peers.NewestCommonCut({}), 0);
  EXPECT_THAT(peers.Urls("http://me"), ElementsAre("http://me"));
}

TEST(PeerTableTest, AServerIsNewWhenItsBootIs) {
  PeerTable peers(3);
  EXPECT_TRUE(peers.Register(1, "boot-a", "http://1", Incarnation(0), {}));
  EXPECT_FALSE(peers.Register(1, "boot-a", "http://1", Incarnation(7), {1}));
  EXPECT_FALSE(peers.AllHeard());
  EXPECT_TRUE(peers.Register(2, "boot-b", "http://2", Incarnation(0), {}));
  EXPECT_TRUE(peers.AllHeard());
  EXPECT_TRUE(peers.Register(1, "boot-c", "http://1b", Incarnation(0), {}));
  EXPECT_THAT(peers.Urls("http://0"), ElementsAre("http://0", "http://1b", "http://2"));
}

TEST(PeerTableTest, AllAreAtAnIncarnationWhenEachHasSaidSo) {
  PeerTable peers(3);
  peers.Register(1, "a", "u", Incarnation(7), {});
  EXPECT_FALSE(peers.AllAt(Incarnation(7)));
  peers.Register(2, "b", "u", Incarnation(6), {});
  EXPECT_FALSE(peers.AllAt(Incarnation(7)));
  EXPECT_EQ(peers.NewestIncarnation(), Incarnation(7));
  peers.Register(2, "b", "u", Incarnation(7), {});
  EXPECT_TRUE(peers.AllAt(Incarnation(7)));
}

TEST(PeerTableTest, ACommonCutIsOneThatAllHave) {
  PeerTable peers(3);
  peers.Register(1, "a", "u", Incarnation(0), {1, 2, 3, 5});
  peers.Register(2, "b", "u", Incarnation(0), {2, 3, 4});
  EXPECT_EQ(peers.NewestCommonCut({1, 2, 3, 4, 5}), 3);
  EXPECT_EQ(peers.NewestCommonCut({1, 2}), 2);
  EXPECT_EQ(peers.NewestCommonCut({5}), 0);
}

TEST(PeerTableTest, WhatWasToldBeforeIsForgottenWhenAllAreAskedAgain) {
  PeerTable peers(3);
  peers.Register(1, "a", "u", Incarnation(7), {1});
  peers.Register(2, "b", "u", Incarnation(7), {1});
  peers.AskAllBut(2);
  EXPECT_FALSE(peers.AllHeard());
  peers.Register(2, "b", "u", Incarnation(7), {1});
  EXPECT_FALSE(peers.AllHeard());
  EXPECT_FALSE(peers.Register(1, "a", "u", Incarnation(7), {2})) << "it did not start again";
  EXPECT_TRUE(peers.AllHeard());
}

}  // namespace
}  // namespace elephas
