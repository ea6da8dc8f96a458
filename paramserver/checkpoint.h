// Checkpoints: one safetensors file per server and cut.
//
//   file name   checkpoint-<cut, 8 digits>-shard-<index>-of-<count>.safetensors
//   tensors     "parameters" F32 [range], "slot/<name>" F32 [trainable part of the range]; the same
//               with "epoch/<epoch>/" before it for the model of an earlier epoch that is kept
//   metadata    format, uid, cut, version, iterations, incarnation, seed, layout, plan, ledger,
//               callbacks, kept: {epoch: iterations}, checksum: CRC-32 of the whole file with the
//               checksum's own eight digits as zeros
//
// A cut is the number of trained epochs it was taken at.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/named_type.h"
#include "common/result.h"
#include "paramserver/parameter_store.h"

namespace elephas {

// The model of an epoch that has ended. Immutable.
struct KeptModel {
  SharedFloats parameters;
  std::vector<SharedFloats> slots;  // none where they are not needed
  std::int64_t iterations = 0;
};

struct Checkpoint {
  std::string uid;
  std::int64_t cut = 0;
  Version version;
  std::int64_t iterations = 0;
  Incarnation incarnation;
  std::uint64_t seed = 0;
  nlohmann::json layout;  // ModelLayout
  nlohmann::json plan;    // JobPlan: what must be equal for the ledger to make sense
  nlohmann::json ledger;
  nlohmann::json callbacks;  // FitCallbacks::State(); null: none
  SharedFloats parameters;
  std::vector<SharedFloats> slots;
  std::vector<std::string> slot_names;
  std::map<std::int64_t, KeptModel> kept;  // by epoch, counted from 1
};

// The checkpoints of one server of one job. Not thread-safe.
class CheckpointFolder {
 public:
  // Creates the folder, and removes what a killed process had begun to write. kInternal with the
  // system's reason when it cannot be written to.
  // Empty `uid`: checkpoints of any run are taken for ours.
  static Result<CheckpointFolder> Open(std::string folder, std::string uid, std::int64_t shard,
                                       std::int64_t shards);

  // Cuts whose file is whole and ours, in growing order. Broken files are left where they are and
  // told to `warn`.
  [[nodiscard]] std::vector<std::int64_t> WholeCuts(
      const std::function<void(const std::string&)>& warn) const;
  // kNotFound, kInvalid with the reason. Buffers come from `pool`.
  [[nodiscard]] Result<Checkpoint> Load(std::int64_t cut, BufferPool& pool) const;
  // Writes aside, fsyncs, renames; then removes this job's older files beyond `keep`, newer ones
  // (what they continued was given up when the job went back), and files of other runs, which the
  // first checkpoint of a new run replaces.
  // Returns the bytes of the file.
  Result<std::uint64_t> Save(const Checkpoint& checkpoint, std::int64_t keep) const;
  // Removes the files of run `uid` with a newer cut: the job goes back to `cut`, and what they hold
  // must not meet what is trained from there.
  void RemoveAfter(std::int64_t cut, const std::string& uid) const;

 private:
  CheckpointFolder(std::string folder, std::string uid, std::int64_t shard, std::int64_t shards);
  [[nodiscard]] std::string Path(std::int64_t cut) const;
  struct Entry {
    std::int64_t cut;
    std::string path;
  };
  [[nodiscard]] std::vector<Entry> Entries() const;
  void RemoveUnfinished() const;

  std::string folder_, uid_;
  std::int64_t shard_, shards_;
};

}  // namespace elephas
