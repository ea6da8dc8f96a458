#include "cli/cluster/apply_conflicts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace elephas::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// As an API server sends it.
const json kRefusal = json::parse(R"({"kind": "Status", "status": "Failure", "reason": "Conflict",
  "message": "Apply failed with 2 conflicts: …", "code": 409, "details": {"causes": [
    {"reason": "FieldManagerConflict", "field": ".spec.workers.replicas",
     "message": "conflict with \"kubectl\" with subresource \"scale\" using elephas.dev/v1alpha1"},
    {"reason": "FieldManagerConflict", "field": ".metadata.labels.app.kubernetes.io/name",
     "message": "conflict with \"kubectl-client-side-apply\" using elephas.dev/v1alpha1"}]}})");

json JobWith(int replicas, const char* label) {
  return {{"metadata", {{"labels", {{"app", "x"}, {"app.kubernetes.io/name", label}}}}},
          {"spec", {{"workers", {{"replicas", replicas}}}, {"data", {{"labels", {"label"}}}}}}};
}

TEST(ApplyConflicts, AreReadFromTheRefusal) {
  const auto conflicts = FieldConflicts(kRefusal);
  ASSERT_EQ(conflicts.size(), 2U);
  EXPECT_EQ(conflicts[0].path, ".spec.workers.replicas");
  EXPECT_EQ(conflicts[0].manager,
            "\"kubectl\" with subresource \"scale\" using elephas.dev/v1alpha1");
  EXPECT_TRUE(FieldConflicts(json::parse(R"({"reason": "Conflict"})")).empty());
  EXPECT_TRUE(
      FieldConflicts(json::parse(R"({"details": {"causes": [{"reason": "X"}, 3]}})")).empty());
  EXPECT_TRUE(FieldConflicts(nullptr).empty());
}

TEST(ApplyConflicts, PathsLeadThroughKeysWithDots) {
  const json job = JobWith(2, "n");
  EXPECT_EQ(ValueAtPath(job, ".metadata.labels.app.kubernetes.io/name"), "n");
  EXPECT_EQ(ValueAtPath(job, ".metadata.labels.app"), "x");
  EXPECT_EQ(ValueAtPath(job, ".spec.data.labels"), json::array({"label"}));
  EXPECT_EQ(ValueAtPath(job, ".spec.data.labels[=\"label\"]"), nullptr);
  EXPECT_EQ(ValueAtPath(job, ".spec.workers.replica"), nullptr);
}

TEST(ApplyConflicts, EqualValuesAreNone) {
  const auto conflicts = FieldConflicts(kRefusal);
  EXPECT_TRUE(RealConflicts(conflicts, JobWith(2, "n"), JobWith(2, "n")).empty());
  const auto real = RealConflicts(conflicts, JobWith(2, "n"), JobWith(4, "n"));
  ASSERT_EQ(real.size(), 1U);
  EXPECT_EQ(real[0].path, ".spec.workers.replicas");
  // Where nobody can say what the manifest wants, it is not taken over.
  const std::vector<FieldConflict> odd{{".spec.list[name=\"x\"]", "m"}};
  EXPECT_EQ(RealConflicts(odd, JobWith(2, "n"), JobWith(2, "n")).size(), 1U);
}

// kubectl apply makes an inline model without its nulls; then submit of the same file met a
// conflict.
TEST(ApplyConflicts, NullsThatKubectlLeftOutAreNone) {
  const json manifest = json::parse(R"({"spec": {"layers": [
    {"shape": [null, 64], "regularizer": null}, {"a": {"b": null, "c": 1}}], "d": null}})");
  const json live = json::parse(R"({"metadata": {"uid": "u"}, "spec": {"layers": [
    {"shape": [null, 64]}, {"a": {"c": 1}}]}})");
  const json same = WithoutLostNulls(manifest, live);
  EXPECT_EQ(same["spec"], live["spec"]);
  // One that is there stays, and so does one that stands in a list of its own.
  EXPECT_EQ(WithoutLostNulls(manifest, manifest), manifest);
  EXPECT_EQ(WithoutLostNulls(json::array({nullptr, {{"x", nullptr}}}), json::array({1})),
            json::array({nullptr, {{"x", nullptr}}}));
}

TEST(ApplyConflicts, AreToldWithBothValues) {
  const auto conflicts = FieldConflicts(kRefusal);
  const std::string text = ConflictText(conflicts, JobWith(2, "n"), JobWith(4, "m"));
  EXPECT_THAT(text, HasSubstr("Apply failed with 2 conflicts:\n- .spec.workers.replicas: 4 on the "
                              "cluster, set by \"kubectl\" with subresource \"scale\" using "
                              "elephas.dev/v1alpha1; 2 in the manifest\n"));
  EXPECT_THAT(text, HasSubstr("\"m\" on the cluster"));
  EXPECT_THAT(text, HasSubstr("--force-conflicts"));
  const std::string odd = ConflictText({{".spec\x1b[31m", "a\xc2\x9b\x7f"}}, nullptr, nullptr);
  EXPECT_THAT(odd, HasSubstr("- .spec?[31m: nothing on the cluster, set by a??; nothing in"));
}

}  // namespace
}  // namespace elephas::cli
