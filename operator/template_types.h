// Is a pod template of the types that merging it relies on?
#pragma once

#include <nlohmann/json.hpp>

#include "common/result.h"

namespace elephas {

// kInvalid names the place below the template and what stands there:
// "spec.volumes[0].name: must be text, not 5". Fields that nothing here reads are the API server's
// to judge.
Status CheckTemplateTypes(const nlohmann::json& pod_template);

// Takes out `null` where it would take away what a job's pods cannot do without (their labels, our
// container, its volumes): there it says nothing, elsewhere it removes a default of ours. The
// template must have passed CheckTemplateTypes.
void DropEmptyParts(nlohmann::json& pod_template);

}  // namespace elephas
