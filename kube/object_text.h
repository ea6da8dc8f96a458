// Objects of the cluster, from text to JSON within bounds.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/result.h"
#include "common/json/json_bounds.h"

namespace elephas::kube {

// A top-level field that no Kubernetes object has: why the object is not whole.
inline constexpr const char* kClipped = "clipped";

// The object; metadata.managedFields is left out. One whose parts go beyond the bounds, or that
// cannot be parsed, comes as what tells it apart (apiVersion, kind, and of metadata the names, uid,
// resourceVersion, generation and deletionTimestamp), its status where that alone is within the
// bounds, and the reason under kClipped: one object must not cost the memory of the process, nor
// keep the others of its list from being seen. kInvalid: not even that can be made out.
Result<nlohmann::json> ParseObject(std::string_view text, const JsonBounds& bounds);

}  // namespace elephas::kube
