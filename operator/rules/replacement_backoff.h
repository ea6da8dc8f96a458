// How long a pod that failed waits for its replacement: not at all after a single death, then
// longer each time, until one of its successors has done something for the job.
#pragma once

#include <cstdint>

#include "operator/state/observed.h"
#include "operator/state/pod.h"

namespace elephas {

// How many pods of this index have failed one after the other up to and with this one, without an
// example in between that a server has applied. What its replacement carries on.
std::int64_t FailuresInARow(const Pod& pod, const Observed& observed);

// The pause after so many failures in a row: 0, 10 s, 20 s, 40 s, … up to 5 min.
std::int64_t PauseMs(std::int64_t failures_in_a_row);

// The pause after the pod's death, or, while it lives, the one before it began. A first death costs
// 10 s as well where others have come to nothing too: what is wrong with all of them is not mended
// by starting them all at once.
std::int64_t PauseOfMs(const Pod& pod, const Observed& observed);

// When a pod that runs counts as recovered, although it has not done anything yet: it may have
// nothing to do.
inline constexpr std::int64_t kRecoveredAfterMs = 60'000;

// When the pod, which has ended, may be replaced. In the past for everything but failures in a row:
// evictions, deletions and single deaths cost no time.
std::int64_t ReplaceAtMs(const Pod& pod, const Observed& observed, std::int64_t now_ms);

}  // namespace elephas
