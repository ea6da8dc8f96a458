#include "operator/state/job.h"

#include <algorithm>

#include "common/base/names.h"
#include "common/base/timestamp.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "common/manifest/volumes.h"
#include "kube/object_text.h"

namespace elephas {

namespace {

using nlohmann::json;

constexpr std::int64_t kDefaultPort = 4000;

// Of all problems together; a condition's message holds 32 KiB.
constexpr std::size_t kMaxProblemBytes = 16'384;

// What a cluster adds, or keeps about other versions of the object, is not the manifest's.
void KeepManifest(json& object) {
  for (const char* name : {"status", kube::kClipped}) object.erase(name);
  const auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) return;
  metadata->erase("managedFields");
  metadata->erase("annotations");
}

std::string Join(const std::vector<ManifestProblem>& problems) {
  std::string out;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const ManifestProblem& problem = problems[i];
    if (out.size() > kMaxProblemBytes) {
      return out.append("\nand ").append(std::to_string(problems.size() - i)).append(" more");
    }
    if (!out.empty()) out += "\n";
    if (!problem.path.empty()) out.append(problem.path).append(": ");
    out.append(problem.message);
  }
  return out;
}

// The copies of what a user wrote that nothing here reads.
void DropCopies(Job& job) {
  if (job.spec.model.inline_config) job.spec.model.inline_config = nullptr;
  json& spec = job.document["spec"];
  for (const char* role : {"workers", "parameterServers"}) {
    if (MemberOf(spec, role).is_object()) spec[role].erase("template");
  }
}

// A job that fails because of its spec is cleaned up as that spec says nevertheless.
void KeepTimeToLive(const json& object, JobSpec::RunPolicy& policy) {
  const std::int64_t ttl = IntegerAt(object, "/spec/runPolicy/ttlSecondsAfterFinished", -1);
  if (ttl >= 0) policy.ttl_seconds_after_finished = ttl;
}

bool IsOfTemplate(std::string_view path) {
  return path.starts_with("spec.workers.template") ||
         path.starts_with("spec.parameterServers.template");
}

}  // namespace

Job ParseJobHeader(const json& object) {
  Job job;
  job.ns = TextAt(object, "/metadata/namespace");
  job.name = TextAt(object, "/metadata/name");
  job.uid = TextAt(object, "/metadata/uid");
  job.generation = IntegerAt(object, "/metadata/generation");
  job.deleting = At(object, "/metadata/deletionTimestamp").is_string();
  job.status = json::object();
  if (const json& status = MemberOf(object, "status"); status.is_object()) job.status = status;
  return job;
}

Job ParseJob(json object) {
  Job job = ParseJobHeader(object);
  if (const json& why = MemberOf(object, kube::kClipped); !why.is_null()) {
    job.problems = TooLargeMessage(TextIn(why));
    KeepTimeToLive(object, job.spec.run_policy);
    return job;
  }
  if (!object.is_object()) object = json::object();
  KeepManifest(object);
  ParsedManifest manifest = ParseManifestJson(object, job.name);
  if (manifest.problems.empty()) manifest.problems = ClusterProblems(manifest, job.name);
  if (manifest.problems.empty()) manifest.problems = TooLargeForCluster(manifest, job.name);
  job.problems = Join(manifest.problems);
  if (!job.problems.empty()) {
    job.only_template_problems =
        std::all_of(manifest.problems.begin(), manifest.problems.end(),
                    [](const ManifestProblem& problem) { return IsOfTemplate(problem.path); });
    KeepTimeToLive(object, job.spec.run_policy);
    return job;
  }
  object = nullptr;  // the manifest has a copy of its own
  job.spec = std::move(manifest.spec);
  job.document = std::move(manifest.document);
  DropCopies(job);
  return job;
}

const json* FindCondition(const json& status, std::string_view type) {
  const json& conditions = MemberOf(status, "conditions");
  if (!conditions.is_array()) return nullptr;
  for (const json& condition : conditions) {
    if (Says(condition, "type", type)) return &condition;
  }
  return nullptr;
}

bool ConditionIsTrue(const json& status, std::string_view type) {
  const json* condition = FindCondition(status, type);
  return condition != nullptr && Says(*condition, "status", "True");
}

bool IsReason(std::string_view text) {
  constexpr std::size_t kMaxReason = 1024;  // the API's own bound of metav1.Condition
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  const auto inside = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == ',' || c == ':';
  };
  return !text.empty() && text.size() <= kMaxReason && letter(text.front()) &&
         std::all_of(text.begin(), text.end(), inside) && text.back() != ',' && text.back() != ':';
}

bool IsFinished(const Job& job) {
  return ConditionIsTrue(job.status, names::kSucceeded) ||
         ConditionIsTrue(job.status, names::kFailed);
}

std::optional<std::int64_t> StatusTime(const json& status, const char* field) {
  return kube::ParseTime(TextOf(status, field));
}

std::int64_t ServerPort(const JobSpec& spec) {
  return spec.parameter_servers.port.value_or(kDefaultPort);
}

}  // namespace elephas
