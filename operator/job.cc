#include "operator/job.h"

#include "common/job_volumes.h"
#include "common/names.h"
#include "operator/json_at.h"
#include "operator/kube/timestamp.h"

namespace elephas {

namespace {

using nlohmann::json;

constexpr std::int64_t kDefaultPort = 4000;

// What a cluster adds, or keeps about other versions of the object, is not the manifest's.
json ManifestOf(const json& object) {
  json manifest = object;
  manifest.erase("status");
  if (manifest.contains("metadata") && manifest["metadata"].is_object()) {
    manifest["metadata"].erase("managedFields");
    manifest["metadata"].erase("annotations");
  }
  return manifest;
}

bool IsOfTemplate(std::string_view path) {
  return path.starts_with("spec.workers.template") ||
         path.starts_with("spec.parameterServers.template");
}

}  // namespace

Job ParseJob(const json& object) {
  Job job;
  job.ns = TextAt(object, "/metadata/namespace");
  job.name = TextAt(object, "/metadata/name");
  job.uid = TextAt(object, "/metadata/uid");
  job.generation = object.value("/metadata/generation"_json_pointer, std::int64_t{0});
  job.deleting = object.contains("/metadata/deletionTimestamp"_json_pointer);
  job.status = json::object();
  if (const auto status = object.find("status"); status != object.end() && status->is_object()) {
    job.status = *status;
  }
  const std::string text = ManifestOf(object).dump(-1, ' ', false, json::error_handler_t::replace);
  ParsedManifest manifest = ParseManifest(text, job.name);
  if (manifest.problems.empty()) manifest.problems = ClusterProblems(manifest, job.name);
  job.only_template_problems = !manifest.problems.empty();
  for (const ManifestProblem& problem : manifest.problems) {
    if (!IsOfTemplate(problem.path)) job.only_template_problems = false;
    if (!job.problems.empty()) job.problems += "\n";
    job.problems += problem.path.empty() ? problem.message : problem.path + ": " + problem.message;
  }
  job.spec = std::move(manifest.spec);
  job.document = std::move(manifest.document);
  return job;
}

const json* FindCondition(const json& status, std::string_view type) {
  const auto conditions = status.find("conditions");
  if (conditions == status.end() || !conditions->is_array()) return nullptr;
  for (const json& condition : *conditions) {
    if (condition.is_object() && condition.value("type", "") == type) return &condition;
  }
  return nullptr;
}

bool ConditionIsTrue(const json& status, std::string_view type) {
  const json* condition = FindCondition(status, type);
  return condition != nullptr && condition->value("status", "") == "True";
}

bool IsFinished(const Job& job) {
  return ConditionIsTrue(job.status, names::kSucceeded) ||
         ConditionIsTrue(job.status, names::kFailed);
}

std::optional<std::int64_t> StatusTime(const json& status, const char* field) {
  const auto found = status.find(field);
  if (found == status.end() || !found->is_string()) return std::nullopt;
  return kube::ParseTime(found->get_ref<const std::string&>());
}

std::int64_t ServerPort(const JobSpec& spec) {
  return spec.parameter_servers.port.value_or(kDefaultPort);
}

}  // namespace elephas
