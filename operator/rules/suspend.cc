#include "operator/rules/suspend.h"

namespace elephas {

std::vector<const Pod*> PodsToSuspend(const Observed& observed) {
  std::vector<const Pod*> pods;
  for (const Pod& pod : observed.pods) {
    if (!pod.deleting) pods.push_back(&pod);
  }
  return pods;
}

}  // namespace elephas
