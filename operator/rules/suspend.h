// spec.runPolicy.suspend, in the way that Kueue expects: the pods go, the rest stays.
#pragma once

#include <vector>

#include "operator/state/observed.h"

namespace elephas {

// Those of a suspended job that are still to be deleted; they point into `observed`.
std::vector<const Pod*> PodsToSuspend(const Observed& observed);

}  // namespace elephas
