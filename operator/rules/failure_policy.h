// Which deaths count, and when there have been too many: spec.runPolicy.backoffLimit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "operator/state/end.h"
#include "operator/state/job.h"
#include "operator/state/observed.h"

namespace elephas {

// Is the pod's end the job's own fault? Not evictions, dead nodes and pods that somebody deleted.
bool CountsAsFailure(const Pod& pod);
// Those of the pod and of its predecessors: what its replacement carries on.
std::int64_t FailuresUpTo(const Pod& pod);
// Of the whole job.
std::int64_t CountFailures(const Observed& observed);

// The end of a pod of ours in words: "was killed for memory (OOMKilled)", "exited with 1: …".
std::string DescribeEnd(const Pod& pod);
// What to do about it; may be empty.
std::string Advice(const Job& job, const Pod& pod);
// When our container died, or an init container before it; of a pod without either: its creation.
std::int64_t DeathTimeMs(const Pod& pod);
// The pod that died last, the deaths of running servers included; null: none has.
const Pod* LastDeath(const Observed& observed);

// The job's end when a death cannot be mended by starting again, or one too many has happened.
std::optional<JobEnd> TooManyFailures(const Job& job, const Observed& observed);

}  // namespace elephas
