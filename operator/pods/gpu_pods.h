// What a worker's pod needs for its GPU, and for exchanging with others by NCCL.
#pragma once

#include <nlohmann/json.hpp>

#include "operator/state/job.h"
#include "operator/state/settings.h"

namespace elephas {

// `pod` is a worker's, its template merged in; `container` is our container in it. With `device:
// cuda` it asks for a GPU if it does not yet. A worker that asks for one gets the image for it,
// and, where the job may use NCCL, memory at /dev/shm, NCCL's warnings in the log, and a wish to be
// near the other workers. What the template says is left as it is.
void PrepareForGpu(const Job& job, const Settings& settings, nlohmann::json& pod,
                   nlohmann::json& container);

}  // namespace elephas
