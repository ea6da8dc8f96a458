// spec.runPolicy.ttlSecondsAfterFinished
#pragma once

#include <cstdint>
#include <optional>

#include "operator/state/job.h"

namespace elephas {

// When the finished job is to be deleted; nullopt: never, or it has not finished.
std::optional<std::int64_t> ExpiryMs(const Job& job);

}  // namespace elephas
