// What a cluster does not take although a local run does: where a job's results go, since a local
// run takes relative paths beside the manifest and knows no volumes, and how large a job may be.
#pragma once

#include <cstddef>
#include <string>
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

// The job's manifest goes to its pods in a Secret, which holds 1 MiB, and it is not all that is in
// there. Templates do not count: they stay in the ElephasJob.
inline constexpr std::size_t kMaxClusterManifestBytes = 1'000'000;
// Why the operator fails such a job with InvalidSpec; empty when it does not.
std::vector<ManifestProblem> TooLargeForCluster(const ParsedManifest& manifest,
                                                std::string_view file);
// The message of that problem; `what` is too large and by how much.
std::string TooLargeMessage(const std::string& what);

}  // namespace elephas
