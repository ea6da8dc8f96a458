// The rules about Keras' own words: losses, metrics and optimizers, in spec.compile or in the
// compile_config of an inline model. A cluster keeps them as they are written, so all of these
// stand in the admission policy.
#pragma once

#include <vector>

#include "common/manifest/rules.h"

namespace elephas::manifest {

std::vector<PolicyVariable> CompileVariables();
std::vector<Rule> CompileRules();

}  // namespace elephas::manifest
