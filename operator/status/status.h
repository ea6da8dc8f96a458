// The status of an ElephasJob, derived from what was observed and decided.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "operator/plan/plan.h"
#include "operator/state/job.h"
#include "operator/state/observed.h"

namespace elephas {

// The whole status as it should be. `observed.refusal` is that of the plan's execution.
nlohmann::json MakeStatus(const Job& job, const Observed& observed, const Plan& plan,
                          std::int64_t now_ms);

// The status of a job that the operator itself cannot cope with, in its own words only: of `before`
// nothing is taken over but whether the job runs. One that runs goes on, and is stalled; another
// one has failed. The reason is InternalError.
nlohmann::json MakeInternalErrorStatus(const nlohmann::json& before, std::int64_t generation,
                                       const std::string& why, std::int64_t now_ms);

struct JobEvent {
  bool warning = false;
  std::string reason, message;
  friend bool operator==(const JobEvent&, const JobEvent&) = default;
};

// What is worth telling about the change from one status to the other: one event per change.
std::vector<JobEvent> EventsOf(const nlohmann::json& before, const nlohmann::json& after);
// That a pod called `name` was made in place of another one.
JobEvent ReplacementEvent(const CreatePod& pod, const std::string& name);

}  // namespace elephas
