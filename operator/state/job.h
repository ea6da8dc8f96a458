// An ElephasJob as the operator reads it from the cluster.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/manifest/job_spec.h"

namespace elephas {

struct Job {
  std::string ns, name, uid;
  std::int64_t generation = 0;
  bool deleting = false;
  std::string problems;  // everything wrong with the spec, a line each; empty: `spec` counts
  bool only_template_problems = false;  // what is wrong is in the pod templates
  JobSpec spec;
  nlohmann::json document;  // the manifest with every default in it
  nlohmann::json status;    // an object; empty before the first write
};

// Never fails: what is wrong is in `problems`, as `elephas validate` says it, and so is an object
// that is too large to be held (kube::kClipped). Only one copy of what the user wrote is kept: of
// the spec, what operators do not read (an inline model) is left out there and stands in `document`
// only, and pod templates stand in the spec only.
Job ParseJob(nlohmann::json object);
// The same without the spec, which may be what is wrong with it: names, generation and status.
Job ParseJobHeader(const nlohmann::json& object);

// A condition of `status`; null when it has none of that type.
const nlohmann::json* FindCondition(const nlohmann::json& status, std::string_view type);
bool ConditionIsTrue(const nlohmann::json& status, std::string_view type);
// Is it a word that the API takes as a condition's reason?
bool IsReason(std::string_view text);
// Succeeded or Failed: nothing changes any more but what is left behind.
bool IsFinished(const Job& job);
// A time of the status ("startTime"), in milliseconds since 1970.
std::optional<std::int64_t> StatusTime(const nlohmann::json& status, const char* field);

// "ServersPort": spec.parameterServers.port or its default on a cluster.
std::int64_t ServerPort(const JobSpec& spec);

}  // namespace elephas
