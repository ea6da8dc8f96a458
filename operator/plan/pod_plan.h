// Desired pods against those that there are.
#pragma once

#include "operator/plan/plan.h"

namespace elephas {

// Adds to `plan` what a running job's pods need: servers first, workers once every server has been
// ready; a replacement for each that is lost; the end of what is surplus.
void PlanPods(const Job& job, const Observed& observed, std::int64_t now_ms, Plan& plan);

}  // namespace elephas
