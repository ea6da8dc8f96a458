// A field that a cluster lets anyone change does something when it is changed: for each of them a
// situation in which another value leads to another decision.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/manifest/fields.h"
#include "operator/plan/plan.h"
#include "operator/pods/desired_pods.h"
#include "operator/testing/builders.h"

namespace elephas {
namespace {

using nlohmann::json;

constexpr std::int64_t kNow = kStart + 100'000;

json PlanOf(const MakeJob& job, const Observed& observed) {
  return ToJson(MakePlan(job, Settings(), observed, kNow));
}

json PodOf(const MakeJob& job, PodRole role) { return MakePod(job, Settings(), role, 0, 0, 0); }

struct Change {
  json before, after;
  std::function<json(MakeJob)> decision;
};

// By the field's path.
std::map<std::string, Change> Changes() {
  const auto finished = [](MakeJob job) { return job.FinishedAt(kNow - 30'000, false); };
  const json two_hosts[] = {{{"spec", {{"nodeSelector", {{"disk", "a"}}}}}},
                            {{"spec", {{"nodeSelector", {{"disk", "b"}}}}}}};
  return {
      {"spec.workers.replicas",
       {2, 3,
        [](const MakeJob& job) { return PlanOf(job, Seen({Server(), Worker(0), Worker(1)})); }}},
      {"spec.workers.template",
       {two_hosts[0], two_hosts[1],
        [](MakeJob job) { return PodOf(job.Set("/spec/output/uri", "/o"), PodRole::kWorker); }}},
      {"spec.parameterServers.template",
       {two_hosts[0], two_hosts[1],
        [](const MakeJob& job) { return PodOf(job, PodRole::kServer); }}},
      {"spec.runPolicy.suspend",
       {false, true,
        [](const MakeJob& job) { return PlanOf(job, Seen({Server(), Worker(0), Worker(1)})); }}},
      {"spec.runPolicy.backoffLimit",
       {0, 6,
        [](const MakeJob& job) {
          return PlanOf(job, Seen({Server(), Worker(0).Ended(1, "Error"), Worker(1)}));
        }}},
      {"spec.runPolicy.activeDeadlineSeconds",
       {10, 1000,
        [](MakeJob job) {
          return PlanOf(job.StartedAt(kStart), Seen({Server(), Worker(0), Worker(1)}));
        }}},
      {"spec.runPolicy.ttlSecondsAfterFinished",
       {10, 1000, [finished](const MakeJob& job) { return PlanOf(finished(job), Seen({})); }}},
      {"spec.runPolicy.cleanPodPolicy",
       {"All", "None",
        [finished](const MakeJob& job) {
          return PlanOf(finished(job), Seen({Worker(0).Ended(1, "Error")}));
        }}},
  };
}

std::string Pointer(std::string path) {
  for (char& c : path) c = c == '.' ? '/' : c;
  return "/" + path;
}

TEST(MutableFields, EveryOneHasAnEffectWhenItIsChanged) {
  const std::map<std::string, Change> changes = Changes();
  for (const manifest::FieldInfo& field : manifest::ManifestFields()) {
    if (field.mutability == manifest::Mutability::kImmutable) continue;
    const auto change = changes.find(std::string(field.path));
    ASSERT_NE(change, changes.end()) << field.path << " can be changed; what does that do?";
    const auto decide = [&](const json& value) {
      MakeJob job("digits");
      job.Set(Pointer(change->first).c_str(), value);
      const Job parsed = job;
      EXPECT_EQ(parsed.problems, "") << field.path;
      return change->second.decision(job);
    };
    EXPECT_NE(decide(change->second.before), decide(change->second.after)) << field.path;
  }
}

TEST(MutableFields, NoOtherIsSaidToHaveOne) {
  for (const auto& [path, change] : Changes()) {
    const manifest::FieldInfo* field = manifest::FindField(path);
    ASSERT_NE(field, nullptr) << path;
    EXPECT_NE(field->mutability, manifest::Mutability::kImmutable) << path;
  }
}

}  // namespace
}  // namespace elephas
