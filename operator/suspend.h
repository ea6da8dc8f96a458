// spec.runPolicy.suspend, in the way that Kueue expects: the pods go, the rest stays.
#pragma once

#include "operator/plan.h"

namespace elephas {

void PlanSuspension(const Observed& observed, Plan& plan);

}  // namespace elephas
