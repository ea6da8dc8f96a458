// Where a job's results go on a cluster. A local run takes relative paths beside the manifest and
// knows no volumes, so none of this concerns it.
#pragma once

#include <string_view>
#include <vector>

#include "common/manifest/job_spec.h"

namespace elephas {

// What the API server refuses although a local run takes it: a relative output.uri or
// checkpoint.uri with `..`. Precondition of both: `manifest.problems` is empty.
std::vector<ManifestProblem> ClusterProblems(const ParsedManifest& manifest, std::string_view file);

// Results that the templates give no volume, so that they would be lost with the pod: the operator
// ends such a job with NoVolume before it makes pods. The API server takes the manifest: it is a
// good one in a local run.
std::vector<ManifestProblem> LostResults(const ParsedManifest& manifest, std::string_view file);
// The same for the operator: field and message only.
std::vector<ManifestProblem> LostResults(const JobSpec& spec);

}  // namespace elephas
