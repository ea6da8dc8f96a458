// spec.runPolicy.cleanPodPolicy
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "operator/state/job.h"
#include "operator/state/observed.h"

namespace elephas {

struct Cleanup {
  std::vector<const Pod*> surplus;       // to be deleted now
  std::vector<const Pod*> stop;          // to be ended now; they stay for their logs
  std::optional<std::int64_t> later_ms;  // when to look again
};

// What a finished job need not keep. After success the programs get a while to end by themselves,
// so that their pods are Completed and not killed. A pod whose container of ours has ended counts
// as ended: what else runs in it is in nobody's use.
Cleanup PodsToClean(const Job& job, const Observed& observed, std::int64_t now_ms);

}  // namespace elephas
