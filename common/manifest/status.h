// The fields of a job's status, so that a manifest that carries one (kubectl get -o yaml) is
// checked as a cluster does: it throws the values away, but takes no field that it does not know.
#pragma once

#include <span>
#include <string_view>

#include "common/manifest/check.h"

namespace elephas::manifest {

// The leaves: "workers.ready", "conditions[].type" of the items of a list, "metrics.*" for any
// name.
std::span<const std::string_view> StatusFields();

void CheckStatus(Checked& checked);

}  // namespace elephas::manifest
