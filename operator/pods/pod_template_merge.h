// spec.workers.template and spec.parameterServers.template, merged into the pod that the operator
// makes. docs/design/operator.md says by which rules.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/result.h"

namespace elephas {

// `pod` with `overlay` (null: nothing) merged in. `container` is the name of our container in
// `pod`. kInvalid names the path below the template that cannot be merged, and why.
Result<nlohmann::json> MergePodTemplate(nlohmann::json pod, const nlohmann::json& overlay,
                                        std::string_view container);

}  // namespace elephas
