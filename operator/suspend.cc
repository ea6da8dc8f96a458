#include "operator/suspend.h"

namespace elephas {

void PlanSuspension(const Observed& observed, Plan& plan) {
  plan.suspended = true;
  for (const Pod& pod : observed.pods) {
    if (!pod.deleting) plan.remove.push_back({pod.name, pod.uid, "the job is suspended"});
  }
}

}  // namespace elephas
