// What must be right on this machine before a local run starts anything.
#pragma once

#include <string>
#include <vector>

#include "common/manifest/job_spec.h"

namespace elephas::cli {

// Problems of a valid manifest here: files that are not there or cannot be read, folders that
// cannot be written, fields that only a cluster can serve. Creates nothing. `base` as in
// ResolveUri.
std::vector<ManifestProblem> LocalProblems(const ParsedManifest& manifest, const std::string& file,
                                           const std::string& base, bool resume);

// Fields that were set but change nothing in a local run, a sentence each.
std::vector<std::string> LocalNotes(const ParsedManifest& manifest);

}  // namespace elephas::cli
