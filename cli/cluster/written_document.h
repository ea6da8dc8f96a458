// A manifest as a person wrote it: what is sent to a cluster.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "common/manifest/job_spec.h"

namespace elephas::cli {

// The text as JSON, with the overrides in it and without the defaults that ParseManifest fills in:
// the cluster fills in its own, and what nobody wrote must not look as if somebody had. kInvalid
// for what ParseManifest finds problems in.
Result<nlohmann::json> WrittenDocument(std::string_view text,
                                       const std::vector<ManifestOverride>& overrides);

}  // namespace elephas::cli
