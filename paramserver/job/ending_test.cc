#include "paramserver/job/ending.h"

#include <gtest/gtest.h>

namespace elephas {
namespace {

TEST(JobEndingTest, TheFirstFailureIsTheJobs) {
  JobEnding ending;
  EXPECT_FALSE(ending.failed());
  EXPECT_TRUE(ending.Fail("BadData", "row 3"));
  EXPECT_FALSE(ending.Fail("Other", "later"));
  EXPECT_TRUE(ending.failed());
  EXPECT_EQ(ending.reason(), "BadData");
  EXPECT_EQ(ending.message(), "row 3");
}

TEST(JobEndingTest, KnowsWhoWasTold) {
  JobEnding ending;
  ending.Told("a");
  EXPECT_TRUE(ending.Knows("a"));
  EXPECT_FALSE(ending.Knows("b"));
}

}  // namespace
}  // namespace elephas
