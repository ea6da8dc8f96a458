// Has the job ended by itself, and how?
#pragma once

#include <optional>

#include "operator/state/end.h"
#include "operator/state/job.h"
#include "operator/state/observed.h"

namespace elephas {

// Server 0's termination message says so. When server 0 has lost its memory, its workers' exit
// codes do, or what it told last.
std::optional<JobEnd> Outcome(const Job& job, const Observed& observed);

// Has a server ended because the job is over, rather than because somebody stopped it?
bool EndedWithJob(const Pod& server);

}  // namespace elephas
