#include "cli/cluster/cluster_errors.h"

#include <gtest/gtest.h>

namespace elephas::cli {
namespace {

using nlohmann::json;

struct ErrorCase {
  const char* name;
  Status error;
  json refusal;
  const char* text;
};
class KubectlErrorTest : public testing::TestWithParam<ErrorCase> {};

TEST_P(KubectlErrorTest, IsWordedAsKubectlDoes) {
  RefusalKeeper keeper;
  if (!GetParam().refusal.is_null()) keeper.Refused(GetParam().refusal);
  EXPECT_EQ(KubectlError(GetParam().error, keeper.Find(GetParam().error)), GetParam().text);
}

json InvalidWith(const json& causes) {
  return {{"reason", "Invalid"},
          {"message", "m"},
          {"details", {{"kind", "ElephasJob"}, {"name", "digits"}, {"causes", causes}}}};
}

INSTANTIATE_TEST_SUITE_P(
    , KubectlErrorTest,
    testing::Values(
        ErrorCase{"AMissingObject",
                  NotFound("elephasjobs.elephas.dev \"x\" not found"),
                  {{"reason", "NotFound"}, {"message", "elephasjobs.elephas.dev \"x\" not found"}},
                  "Error from server (NotFound): elephasjobs.elephas.dev \"x\" not found"},
        ErrorCase{
            "ARefusalWithoutAReason", Invalid("no"), {{"message", "no"}}, "Error from server: no"},
        ErrorCase{"OneBrokenRuleVerbatim", Invalid("m"),
                  InvalidWith({{{"field", "spec.mode"},
                                {"message", "Invalid value: \"string\": mode is immutable"}}}),
                  "The ElephasJob \"digits\" is invalid: spec.mode: Invalid value: \"string\": "
                  "mode is immutable"},
        ErrorCase{"SeveralBrokenRules", Invalid("m"),
                  InvalidWith({{{"field", "spec.a"}, {"message", "Required value"}},
                               {{"field", "<nil>"}, {"message", "Invalid value: null"}}}),
                  "The ElephasJob \"digits\" is invalid: \n* spec.a: Required value\n* Invalid "
                  "value: null"},
        ErrorCase{"NoConnection", Unavailable("https://127.0.0.1:1: refused"), nullptr,
                  "Unable to connect to the server: https://127.0.0.1:1: refused"},
        ErrorCase{"AServerInTrouble",
                  Unavailable("etcdserver: leader changed"),
                  {{"reason", "InternalError"}, {"message", "etcdserver: leader changed"}},
                  "Error from server (InternalError): etcdserver: leader changed"},
        ErrorCase{"WrongCredentials",
                  Unauthorized("Unauthorized"),
                  {{"reason", "Unauthorized"}, {"message", "Unauthorized"}},
                  "error: You must be logged in to the server (Unauthorized)"},
        ErrorCase{"NoCrd",
                  NotFound("the server could not find the requested resource"),
                  {{"reason", "NotFound"},
                   {"message", "the server could not find the requested resource"}},
                  "error: the server doesn't have a resource type \"elephasjobs\": is the operator "
                  "installed? (helm install elephas charts/elephas-operator)"}),
    [](const auto& row) { return row.param.name; });

TEST(RefusalKeeperTest, AnotherErrorsRefusalIsNotTaken) {
  RefusalKeeper keeper;
  keeper.Refused({{"reason", "NotFound"}, {"message", "a"}});
  EXPECT_TRUE(keeper.Find(Unavailable("b")).is_null());
}

}  // namespace
}  // namespace elephas::cli
