// spec.runPolicy.activeDeadlineSeconds
#pragma once

#include <cstdint>
#include <optional>

#include "operator/state/end.h"
#include "operator/state/job.h"

namespace elephas {

// When the job must be over; nullopt: no limit, or it has not started.
std::optional<std::int64_t> DeadlineMs(const Job& job);
std::optional<JobEnd> DeadlineExceeded(const Job& job, std::int64_t now_ms);

}  // namespace elephas
