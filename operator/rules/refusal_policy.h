// What follows from a write that the API server refused: the job's end, or another try.
#pragma once

#include <cstdint>

#include "operator/state/observed.h"

namespace elephas {

// Will the write be refused whenever it is asked for, because of the spec alone? Not what admission
// said and what validation said after it: a LimitRange, a quota, a policy or a webhook may have had
// a part in it, and may change.
bool IsForGood(const Refusal& refusal);

// When to ask again. What waits for something that goes away by itself asks soon, everything else
// after 10 s; both wait longer the longer it lasts.
std::int64_t RetryAtMs(const Refusal& refusal);

// May the next event bring another try forward?
bool WaitsForItsTime(const Refusal& refusal);

}  // namespace elephas
