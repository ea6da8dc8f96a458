// What workers that train together over a collective say to the parameter server, as plain structs
// with their JSON. The rules are docs/design/nccl.md, the HTTP side is docs/openapi.yaml.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/named_type.h"
#include "common/base/result.h"
#include "common/protocol/partitioning.h"
#include "common/protocol/protocol.h"

namespace elephas {

// Where a worker stands in the group.
struct GroupPlace {
  enum class State : std::uint8_t {
    kWait,     // others are awaited: ask again
    kRest,     // no group: ask for a lease
    kConnect,  // make a communicator of `generation`, then ask again with it
    kTrain,    // all members hold theirs: train from `version` on
  } state = State::kWait;
  Generation generation;
  std::int64_t rank = 0, world = 0;
  std::string id;  // bytes by which members find each other; empty for rank 0, which makes them
  std::int64_t rounds = 0;  // kTrain: until the next commit
  Version version;          // that the server holds
  Epoch epoch;              // of the train tasks that are open
  std::int64_t batch = 0;   // that the next round is of, counted within the task
  // The model that the worker named (generation, version) is the one that the server holds.
  bool current = false;
  std::string reason;  // kRest: why
};
nlohmann::json ToJson(const GroupPlace& place);
Result<GroupPlace> GroupPlaceFromJson(const nlohmann::json& value);

// What one worker's rounds add to the ledger. `batches` are of partition `partition` in the open
// epoch; `metrics` as in an update.
struct GroupStep {
  Partition partition;
  Range batches;
  std::int64_t examples = 0;
  std::vector<MetricSums> metrics;
};

// The rounds that a commit covers: versions after `base` up to `target`.
struct GroupCommitHeader {
  Incarnation incarnation;
  Generation generation;
  std::string worker;
  Version base, target;
};
struct GroupSteps {
  GroupCommitHeader header;
  std::vector<GroupStep> steps;
};
nlohmann::json ToJson(const GroupCommitHeader& header);
nlohmann::json ToJson(const GroupSteps& steps);
// {"incarnation", "generation", "worker", "base", "version"}
Result<GroupCommitHeader> GroupCommitHeaderFromJson(const nlohmann::json& value);
Result<GroupSteps> GroupStepsFromJson(const nlohmann::json& value);

struct GroupStepsReply {
  UpdateOutcome outcome = UpdateOutcome::kApplied;
  std::int64_t rounds = 0;  // until the next commit; 0: a new generation follows this one
};

// Bytes as lower-case hexadecimal digits, as they travel in JSON.
std::string ToHex(std::string_view bytes);
// kInvalid: not an even number of hexadecimal digits.
Result<std::string> FromHex(std::string_view digits);

}  // namespace elephas
