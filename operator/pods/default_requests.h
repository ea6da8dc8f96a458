// What our containers ask for where nobody says anything, and when these defaults give way: to the
// template's limits, and to what the namespace's LimitRange wants.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/result.h"
#include "operator/state/job.h"
#include "operator/state/pod.h"

namespace elephas {

// The resources of a container without a template.
nlohmann::json DefaultResources(const Job& job, PodRole role);

// Says whether the template contradicts itself: asks for more than it allows. The message names the
// path below the template.
Status CheckAmounts(const nlohmann::json& pod_template);

// Takes those defaults out of `pod` (the template merged in) that are more than the template's own
// limit, or that the template's resources of the whole pod stand for. Without a request the API
// server takes the limit.
void YieldToLimits(const Job& job, PodRole role, nlohmann::json& pod);

// Takes all of the defaults out of `pod`, and nothing that the template asks for. False: there was
// none.
bool DropDefaultRequests(const Job& job, PodRole role, nlohmann::json& pod);

// Did the API server refuse a pod for amounts of resources, which the namespace's LimitRange may
// have set, so that the pod may be taken without our defaults?
bool IsAboutAmounts(std::string_view refusal);

}  // namespace elephas
