// The rules of a manifest that concern several fields, or more than a field's type.
#pragma once

#include "common/job_spec_check.h"

namespace elephas::manifest {

// Adds to `checked.problems`. A rule is silent about fields that have been reported already.
void CheckRules(Checked& checked);

}  // namespace elephas::manifest
