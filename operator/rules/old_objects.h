// An object that has a name which the job needs, and is not the job's: is it in the way for good?
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/result.h"
#include "kube/kind.h"
#include "operator/state/job.h"

namespace elephas {

// Is there an ElephasJob of that name and uid in the job's namespace that is to stay?
using JobLives = std::function<bool(const std::string& name, const std::string& uid)>;

// Will `object` go away by itself? It is being deleted; or all that it belongs to are jobs that are
// gone or going, and garbage collection takes it along.
bool IsGoingAway(const nlohmann::json& object, const Job& job, const JobLives& lives);

// Why `object`, which is not the job's, keeps the job from having one of that name. kGone: it goes
// away, so wait. kExists: it stays.
Status NameInUse(const kube::Kind& kind, const nlohmann::json& object, const Job& job,
                 const JobLives& lives);

}  // namespace elephas
