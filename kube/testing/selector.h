// Label selectors, as `kubectl get -l` takes them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace elephas::kube {

// Whether `labels` (an object, or null for none) satisfy `selector`: a comma-separated list of a=b,
// a==b, a!=b, a, !a, "a in (b,c)", "a notin (b,c)". An empty selector matches. kInvalid names the
// part that cannot be read.
Result<bool> MatchesSelector(const nlohmann::json& labels, std::string_view selector);

}  // namespace elephas::kube
