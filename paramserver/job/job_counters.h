// What a job has counted since this process started, and what can be seen of it now: plain values,
// for whoever exports them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/protocol/protocol.h"
#include "common/telemetry/histogram.h"

namespace elephas {

// Staleness, in versions.
inline constexpr double kStalenessBounds[] = {0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

struct JobCounters {
  Histogram staleness{kStalenessBounds};       // of applied updates
  std::map<WorkKind, std::uint64_t> examples;  // applied, by kind of task
  std::uint64_t leases_granted = 0;
  std::uint64_t leases_finished = 0;  // their batches are done
  std::uint64_t leases_expired = 0;   // their worker fell silent
  std::uint64_t leases_voided = 0;    // given back, or their worker or the server started again
  std::uint64_t rounds = 0;           // committed (synchronous)
  std::uint64_t joins = 0;            // of workers, those that were started again included
};

struct CheckpointCounters {
  Histogram write_seconds{kLatencyBounds};  // of those that were written
  std::uint64_t written = 0, failed = 0;
  std::uint64_t bytes = 0;  // of the newest file
  std::int64_t epoch = 0;   // trained epochs that the newest one holds
  // What a restart would go back to is of this moment: of the newest checkpoint, or the start of
  // this incarnation.
  std::int64_t unix_millis = 0;
};

struct JobSample {
  std::string_view state;  // as in /v1/status
  JobCounters counters;
  std::optional<CheckpointCounters> checkpoints;  // nullopt: the job writes none
  std::int64_t incarnation = 0;
  // From here on 0 or empty before initialisation.
  std::int64_t version = 0;
  std::int64_t parameters = 0;  // elements of this server's range
  std::int64_t epoch = 0;       // closed
  std::int64_t epochs = 0;      // to train
  double progress = 0;          // 0 to 1
  double examples_per_second = 0;
  std::map<std::string, double> epoch_metrics;    // of the last closed epoch, "val_" ones included
  std::map<std::string, double> running_metrics;  // of the open epoch, so far
  double last_epoch_seconds = 0;                  // 0: none is closed
  // Server 0: those that take part now; who has left is not among them.
  struct Worker {
    std::string name;
    bool busy = false;
    std::int64_t examples = 0;  // that it has pushed and that were applied
    double silent_seconds = 0;  // since its last sign of life
  };
  std::vector<Worker> workers;
  std::int64_t lost_workers = 0;
  std::int64_t leases = 0;  // held now
};

}  // namespace elephas
