// The pods that a job should have.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/result.h"
#include "operator/state/job.h"
#include "operator/state/pod.h"
#include "operator/state/settings.h"

namespace elephas {

// The name that a server has inside the cluster, without the port.
std::string ServerHost(const Job& job, std::int64_t index);
std::string PodName(const Job& job, PodRole role, std::int64_t index, std::int64_t attempt);

// Says whether pods can be made of the job at all, before the first is. kInvalid: a template cannot
// be merged. kNotFound: a result would be lost with the pod because no volume is mounted where it
// goes. The message names the field.
Status CheckPods(const Job& job, const Settings& settings);

// The whole pod. `failures`: of its predecessors, `failures_in_a_row`: the last of them.
// Precondition: CheckPods() is ok.
nlohmann::json MakePod(const Job& job, const Settings& settings, PodRole role, std::int64_t index,
                       std::int64_t attempt, std::int64_t failures,
                       std::int64_t failures_in_a_row = 0);

}  // namespace elephas
