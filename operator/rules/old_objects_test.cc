#include "operator/rules/old_objects.h"

#include <gtest/gtest.h>

#include <vector>

#include "operator/testing/builders.h"

namespace elephas {
namespace {

using nlohmann::json;

json Owner(const char* name, const char* uid, const char* kind = "ElephasJob",
           const char* version = "elephas.dev/v1alpha1") {
  return {{"apiVersion", version}, {"kind", kind}, {"name", name}, {"uid", uid}};
}

json ObjectOf(const std::vector<json>& owners, bool deleting = false) {
  json object{{"metadata", {{"name", "digits-worker-0"}, {"ownerReferences", owners}}}};
  if (deleting) object["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z";
  return object;
}

TEST(OldObjects, OnlyWhatStaysIsInTheWayForGood) {
  struct Case {
    const char* what;
    json object;
    bool going;
  };
  const Case cases[] = {
      {"a pod of the earlier job of this name", ObjectOf({Owner("digits", "uid-earlier")}), true},
      {"the same, terminating", ObjectOf({Owner("digits", "uid-earlier")}, true), true},
      {"of another job that lives", ObjectOf({Owner("other", "uid-other")}), false},
      {"of another job of that name that lived before it", ObjectOf({Owner("other", "uid-past")}),
       true},
      {"of nobody, as orphans are", ObjectOf({}), false},
      {"of nobody, and terminating", ObjectOf({}, true), true},
      {"of a ReplicaSet", ObjectOf({Owner("digits", "u", "ReplicaSet", "apps/v1")}), false},
      {"of somebody's kind of the same name",
       ObjectOf({Owner("digits", "u", "ElephasJob", "zoo.example/v1")}), false},
      {"of two, one of which stays",
       ObjectOf({Owner("digits", "uid-earlier"), Owner("rs", "u", "ReplicaSet", "apps/v1")}),
       false},
      {"ours", ObjectOf({Owner("digits", "uid-digits")}), false},
      {"whose owners cannot be read", json{{"metadata", {{"ownerReferences", "x"}}}}, false},
      {"of owners that cannot be read", ObjectOf({json(3), json{{"kind", 4}}}), false},
  };
  const auto lives = [](const std::string& name, const std::string& uid) {
    return name == "other" && uid == "uid-other";
  };
  const Job job = MakeJob("digits");
  for (const Case& test : cases) {
    EXPECT_EQ(IsGoingAway(test.object, job, lives), test.going) << test.what;
  }
}

TEST(OldObjects, AreNamed) {
  const Job job = MakeJob("digits");
  const auto lives = [](const std::string&, const std::string&) { return false; };
  const Status going =
      NameInUse(kube::kPod, ObjectOf({Owner("digits", "uid-earlier")}, true), job, lives);
  EXPECT_EQ(going.code(), Code::kGone);
  EXPECT_EQ(going.message(), "Pod digits-worker-0 is still being deleted");
  const Status soon = NameInUse(kube::kPod, ObjectOf({Owner("digits", "uid-earlier")}), job, lives);
  EXPECT_EQ(soon.message(),
            "Pod digits-worker-0 belongs to a job that is gone, and is deleted soon");
  const Status taken = NameInUse(kube::kPod, ObjectOf({}), job, lives);
  EXPECT_EQ(taken.code(), Code::kExists);
  EXPECT_EQ(taken.message(),
            "there is a Pod digits-worker-0 that does not belong to this job; remove it, or give "
            "the job another name");
}

}  // namespace
}  // namespace elephas
