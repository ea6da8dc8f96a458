// Everything that a decision about a job depends on, beside the job itself and the time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "operator/state/pod.h"
#include "operator/state/progress.h"

namespace elephas {

// A write that the API server refused.
struct Refusal {
  // kForbidden, kInvalid; kExists: somebody else's object has the name; kGone: so has an object
  // that goes away by itself.
  Status status;
  std::string object;  // "Pod digits-worker-0"
  std::int64_t at_ms = 0;
  std::int64_t since_ms = 0;  // the first of those without another kind in between; 0: at_ms
};

struct Observed {
  std::vector<Pod> pods;             // all of the job's, sorted
  std::optional<Progress> progress;  // the newest that server 0 told
  std::optional<Refusal> refusal;    // the last one; none after a write that succeeded
};

}  // namespace elephas
