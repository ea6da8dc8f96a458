// What is to be done about a job's pods, decided without touching anything.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "operator/end.h"
#include "operator/job.h"
#include "operator/observed.h"
#include "operator/settings.h"

namespace elephas {

// A quota may have been raised, an admission policy changed; nothing tells.
inline constexpr std::int64_t kRefusalRetryMs = 10'000;

struct CreatePod {
  PodRole role = PodRole::kWorker;
  std::int64_t index = 0, attempt = 0;
  std::int64_t failures = 0;  // of its predecessors
  std::string replaces;       // the predecessor's name; empty: it is the first of its index
  std::string why;            // what happened to the predecessor
};

struct DeletePod {
  std::string name, uid;
  std::string why;
};

struct Plan {
  bool apply_objects = false;     // Secret, Service, NetworkPolicy must be there first
  std::vector<CreatePod> create;  // in this order, before anything is deleted
  std::vector<DeletePod> remove;
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
