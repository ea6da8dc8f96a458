// What is to be done about a job's pods, decided without touching anything.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "operator/state/end.h"
#include "operator/state/job.h"
#include "operator/state/observed.h"
#include "operator/state/settings.h"

namespace elephas {

struct CreatePod {
  PodRole role = PodRole::kWorker;
  std::int64_t index = 0, attempt = 0;
  std::int64_t failures = 0;  // of its predecessors
  std::string replaces;       // the predecessor's name; empty: it is the first of its index
  std::string why;            // what happened to the predecessor
  std::int64_t failures_in_a_row = 0;  // of its predecessors, the last ones
};

struct DeletePod {
  std::string name, uid;
  std::string why;
};

// What runs in the pod is to end, and the pod to stay, with its logs.
struct StopPod {
  std::string name, uid;
  std::string why;
};

struct Plan {
  bool apply_objects = false;     // Secret, Service, NetworkPolicy must be there first
  std::vector<CreatePod> create;  // in this order, before anything is deleted
  std::vector<DeletePod> remove;
  std::vector<StopPod> stop;
  std::vector<std::string> give_back;   // workers that are gone: their leases go to others
  bool delete_job = false;              // its time to live is over
  std::optional<JobEnd> end;            // the job ends here
  bool suspended = false;               // as the spec says
  std::optional<std::int64_t> wake_ms;  // when to look again without an event
};

// The one decision: reads like docs/design/operator.md, "What it decides".
Plan MakePlan(const Job& job, const Settings& settings, const Observed& observed,
              std::int64_t now_ms);

// For tests and logs.
nlohmann::json ToJson(const Plan& plan);

}  // namespace elephas
