// What workers and parameter servers say to each other, as plain structs with their JSON. The HTTP
// side (paths, status codes) is docs/openapi.yaml.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/named_type.h"
#include "common/base/result.h"
#include "common/protocol/partitioning.h"

namespace elephas {

// Counts travel as JSON numbers, which are exact up to here.
inline constexpr std::int64_t kMaxCount = std::int64_t{1} << 53;

enum class WorkKind : std::uint8_t {
  kTrain,     // (epoch, partition)
  kValidate,  // evaluate (epoch, partition) over the validation rows
  kEvaluate,  // (partition)
  kPredict,   // (partition)
  kFinalize,  // write the outputs
};
std::string_view Word(WorkKind kind);  // "train", "validate", "evaluate", "predict", "finalize"
Result<WorkKind> WorkKindFromWord(std::string_view word);

struct TaskId {
  WorkKind kind = WorkKind::kTrain;
  Epoch epoch;          // 0 for tasks that have none, and for frequency `fit`
  Partition partition;  // 0 for finalize
  friend auto operator<=>(const TaskId&, const TaskId&) = default;
};
std::string ToString(const TaskId& task);  // "train epoch 3 partition 5"

// An additive metric state: `values` of all batches are summed element by element. Kind "mean" has
// {sum, count}; further kinds define their own vectors. The value is computed from the total only.
struct MetricState {
  std::string kind = "mean";
  std::vector<double> values;
  friend bool operator==(const MetricState&, const MetricState&) = default;
};
using MetricSums = std::map<std::string, MetricState>;
// total += part, by name. kConflict when a name's kind or length differ.
Status AddMetrics(MetricSums& total, const MetricSums& part);
// The value of one metric; NaN for an empty mean. kInvalid for an unknown kind.
Result<double> MetricValue(const MetricState& state);
nlohmann::json ToJson(const MetricSums& metrics);
Result<MetricSums> MetricSumsFromJson(const nlohmann::json& input);

// What the training callbacks have decided so far. Server 0 decides at each epoch's end and tells
// it with every lease; a worker trains by it and repeats it in its updates, from which the other
// servers learn. Epochs are counted from 1 here: the model after that many epochs.
struct FitDecisions {
  std::optional<double> learning_rate;       // in place of the optimizer's own
  std::optional<std::int64_t> restore;       // the epoch whose weights the job ends with
  std::optional<std::int64_t> best;          // the epoch whose model is kept as the best
  std::optional<double> best_learning_rate;  // that `best` was trained with
  [[nodiscard]] bool empty() const { return *this == FitDecisions{}; }
  friend bool operator==(const FitDecisions&, const FitDecisions&) = default;
};
nlohmann::json ToJson(const FitDecisions& decisions);
Result<FitDecisions> FitDecisionsFromJson(const nlohmann::json& input);

// The right to do `batches` of `task`.
struct Lease {
  LeaseId id;
  Incarnation incarnation;
  TaskId task;
  Range batches;    // what is left of it; for frequency `fit`, batches counted through all epochs
  Range rows;       // the task's rows in the dataset
  Version version;  // synchronous and evaluation: pull exactly this version
  double expires_in_seconds = 0;  // unless renewed by traffic or heartbeats
  FitDecisions decisions;         // train and finalize
};
nlohmann::json ToJson(const Lease& lease);
Result<Lease> LeaseFromJson(const nlohmann::json& input);

struct JoinReply {
  std::string worker;  // the name under which it is known from now on
  Incarnation incarnation;
  bool initialised = false;          // false: PUT /v1/layout and /v1/parameters first
  std::uint64_t seed = 0;            // the job's seed, drawn once when the manifest gives none
  std::vector<std::string> servers;  // base URLs of all parameter servers, by index
  std::chrono::milliseconds lease_duration{};
  bool over = false;  // the job has ended: ask for a lease to hear how, there is nothing to load
};

// Either a lease, or why there is none.
struct LeaseReply {
  // kGroup: training goes on in the group; enter it (docs/design/nccl.md).
  enum class State : std::uint8_t {
    kLeased,
    kWait,
    kSucceeded,
    kFailed,
    kGroup
  } state = State::kWait;
  std::optional<Lease> lease;
  std::string message;  // kFailed: the reason
};

// What precedes the numbers of an update: `__metadata__["update"]` of the pushed safetensors body.
struct UpdateHeader {
  Incarnation incarnation;
  LeaseId lease;
  TaskId task;
  Range batches;
  Version base;               // version that was pulled; staleness = version when applied - base
  std::int64_t examples = 0;  // rows in `batches`; the weight of a synchronous contribution
  std::int64_t steps = 0;     // optimizer steps in it
  FitDecisions decisions;     // those of the lease
  // One entry per epoch covered: one, but for frequency `fit`.
  std::vector<MetricSums> metrics;
};
nlohmann::json ToJson(const UpdateHeader& header);
Result<UpdateHeader> UpdateHeaderFromJson(const nlohmann::json& input);

enum class UpdateOutcome : std::uint8_t { kApplied, kDuplicate };
std::string_view Word(UpdateOutcome outcome);

}  // namespace elephas
