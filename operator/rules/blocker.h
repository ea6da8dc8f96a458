// What keeps a job from making progress, said so that a person knows what to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "operator/state/job.h"
#include "operator/state/observed.h"

namespace elephas {

struct Blocker {
  std::string reason, message;
  bool needs_a_person = true;  // false: it will pass by itself
};

// The most telling one; nullopt when nothing is in the way.
std::optional<Blocker> FindBlocker(const Job& job, const Observed& observed, std::int64_t now_ms);

// When a pod that does not start becomes a blocker although nobody says why, or one that failed
// again and again is none any more; nullopt: there is none.
std::optional<std::int64_t> NextPatienceEndMs(const Observed& observed, std::int64_t now_ms);

}  // namespace elephas
