#include "common/manifest/status.h"

#include <algorithm>
#include <array>
#include <string>

namespace elephas::manifest {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 32> kStatusFields{
    "observedGeneration",
    "state",
    "conditions[].type",
    "conditions[].status",
    "conditions[].observedGeneration",
    "conditions[].lastTransitionTime",
    "conditions[].reason",
    "conditions[].message",
    "startTime",
    "completionTime",
    "estimatedCompletionTime",
    "epoch",
    "epochs",
    "progress",
    "loss",
    "metrics.*",
    "examplesPerSecond",
    "warnings[].reason",
    "warnings[].message",
    "transport.now",
    "transport.reason",
    "workers.replicas",
    "workers.active",
    "workers.ready",
    "workers.failed",
    "workers.summary",
    "parameterServers.replicas",
    "parameterServers.ready",
    "restarts",
    "selector",
    "model",
    "outputs[]",
};

// Is there a leaf at `path`, or below it?
bool IsKnown(std::string_view path) {
  return std::any_of(kStatusFields.begin(), kStatusFields.end(), [&](std::string_view field) {
    return field.starts_with(path) &&
           (field.size() == path.size() || field[path.size()] == '.' || field[path.size()] == '[');
  });
}

// `path` is the field's in the list above, `shown` in the manifest.
void Walk(Checked& checked, const json& value, const std::string& path, const std::string& shown) {
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      Walk(checked, value[i], path + "[]", shown + "[" + std::to_string(i) + "]");
    }
    return;
  }
  if (!value.is_object()) return;
  for (const auto& [key, member] : value.items()) {
    const std::string parent = path.empty() ? "" : path + ".";
    const bool any_name = !parent.empty() && IsKnown(parent + "*");
    const bool plain = !key.empty() && key.find_first_of(".[*") == std::string::npos;
    if (!any_name && (!plain || !IsKnown(parent + key))) {
      checked.Report(JoinPath(shown, key), "unknown field; a job's status is the operator's");
    } else {
      Walk(checked, member, parent + (any_name ? "*" : key), JoinPath(shown, key));
    }
  }
}

}  // namespace

std::span<const std::string_view> StatusFields() { return kStatusFields; }

void CheckStatus(Checked& checked) { Walk(checked, checked.Get("status"), "", "status"); }

}  // namespace elephas::manifest
