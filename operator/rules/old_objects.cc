#include "operator/rules/old_objects.h"

#include <algorithm>

#include "common/json/json_at.h"
#include "common/manifest/fields.h"

namespace elephas {

namespace {

using nlohmann::json;

bool IsBeingDeleted(const json& object) {
  return At(object, "/metadata/deletionTimestamp").is_string();
}

// What another kind of owner does is not known here.
bool IsVanishedJob(const json& owner, const Job& job, const JobLives& lives) {
  if (TextAt(owner, "/kind") != manifest::kKind ||
      !TextAt(owner, "/apiVersion").starts_with("elephas.dev/")) {
    return false;
  }
  const std::string name = TextAt(owner, "/name"), uid = TextAt(owner, "/uid");
  if (uid == job.uid) return false;
  // One name is one job's at a time, and this one is ours.
  return name == job.name || !lives(name, uid);
}

}  // namespace

bool IsGoingAway(const json& object, const Job& job, const JobLives& lives) {
  if (IsBeingDeleted(object)) return true;
  const json& owners = At(object, "/metadata/ownerReferences");
  return owners.is_array() && !owners.empty() &&
         std::all_of(owners.begin(), owners.end(),
                     [&](const json& owner) { return IsVanishedJob(owner, job, lives); });
}

Status NameInUse(const kube::Kind& kind, const json& object, const Job& job,
                 const JobLives& lives) {
  std::string text(kind.kind);
  text.append(" ").append(TextAt(object, "/metadata/name"));
  if (!IsGoingAway(object, job, lives)) {
    return Exists("there is a " + text +
                  " that does not belong to this job; remove it, or give the job another name");
  }
  text.append(IsBeingDeleted(object) ? " is still being deleted"
                                     : " belongs to a job that is gone, and is deleted soon");
  return Gone(text);
}

}  // namespace elephas
