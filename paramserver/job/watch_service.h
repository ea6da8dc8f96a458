// What people and supervisors see of a job. Thread-safe, as the JobService behind it is.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "paramserver/job/job_counters.h"

namespace elephas {

class WatchService {
 public:
  virtual ~WatchService() = default;

  [[nodiscard]] virtual bool Ready() const = 0;
  [[nodiscard]] virtual nlohmann::json StatusJson() const = 0;   // docs/openapi.yaml, /v1/status
  [[nodiscard]] virtual nlohmann::json HistoryJson() const = 0;  // what history.json holds
  // Cheap, however long the job has run: for a scrape every few seconds.
  [[nodiscard]] virtual JobSample Sample() const = 0;
  // Server 0: is the job over, and has every worker that is still there been told so?
  struct EndState {
    bool over = false;
    bool told = false;
  };
  [[nodiscard]] virtual EndState End() const = 0;
  // Why this process must end now: another one has taken over its server and its checkpoints. All
  // calls answer kUnavailable from then on, so that workers look for the other. Looks at the
  // storage when the last look is 5 s old.
  virtual std::optional<std::string> Fenced() = 0;
};

}  // namespace elephas
