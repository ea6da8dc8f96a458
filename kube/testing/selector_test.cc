#include "kube/testing/selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace elephas::kube {
namespace {

struct SelectorCase {
  const char* name;
  const char* selector;
  bool matches;
};

class SelectorTest : public testing::TestWithParam<SelectorCase> {};

TEST_P(SelectorTest, MatchesAsKubectlDoes) {
  const nlohmann::json labels{{"app", "elephas"}, {"role", "worker"}};
  const auto result = MatchesSelector(labels, GetParam().selector);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(*result, GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(
    , SelectorTest,
    testing::Values(SelectorCase{"AnEmptySelectorMatches", "", true},
                    SelectorCase{"EqualValueMatches", "app=elephas", true},
                    SelectorCase{"TwoEqualSignsAreOne", "app==elephas", true},
                    SelectorCase{"OtherValueDoesNot", "app=kafka", false},
                    SelectorCase{"AllPartsMustMatch", "app=elephas,role=server", false},
                    SelectorCase{"UnequalValueMatches", "app!=kafka", true},
                    SelectorCase{"UnequalMatchesAMissingLabel", "tier!=gold", true},
                    SelectorCase{"APresentKeyMatches", "role", true},
                    SelectorCase{"AMissingKeyDoesNot", "tier", false},
                    SelectorCase{"NotPresentMatchesAMissingKey", "!tier", true},
                    SelectorCase{"InASet", "role in (server, worker),app=elephas", true},
                    SelectorCase{"NotInTheSet", "role in (server)", false},
                    SelectorCase{"NotInMatchesAMissingLabel", "tier notin (gold)", true},
                    SelectorCase{"NotInRefusesAMember", "role notin (worker,server)", false}),
    [](const auto& row) { return row.param.name; });

TEST(SelectorErrorTest, NamesThePartThatCannotBeRead) {
  const auto result = MatchesSelector(nlohmann::json::object(), "a=b,role in worker");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInvalid);
  EXPECT_THAT(result.status().message(), testing::HasSubstr("role in worker"));
}

}  // namespace
}  // namespace elephas::kube
