// Checkpoints: one safetensors file per server and cut.
//
//   folder      <spec.checkpoint.uri>/<uid>/; names: checkpoint/listing.h
//   tensors     "parameters" F32 [range], "slot/<name>" F32 [trainable part of the range]; the same
//               with "epoch/<epoch>/" before it for the model of an earlier epoch that is kept
//   metadata    format, uid, cut, version, iterations, incarnation, seed, layout, plan, ledger,
//               callbacks, kept: {epoch: iterations}, checksum: CRC-32 of the whole file with the
//               checksum's own eight digits as zeros
//
// A cut is the number of trained epochs it was taken at.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/named_type.h"
#include "common/base/result.h"
#include "paramserver/checkpoint/listing.h"
#include "paramserver/store/parameter_store.h"

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

// The checkpoints of one server of one job, and what other jobs have beside them. Files of other
// jobs, and those of a newer incarnation, are read at most. Not thread-safe; copies see the same
// files.
class CheckpointFolder {
 public:
  // Makes `root`/`uid`, looks whether it can be written, and removes what a killed process of this
  // server had begun to write. kForbidden: it cannot be written, and trying again will not help;
  // kUnavailable: it may; kInvalid: `uid` cannot be a folder's name.
  static Result<CheckpointFolder> Open(std::string root, std::string uid, std::int64_t shard,
                                       std::int64_t shards);

  // ---- what there is
  struct Search {
    std::vector<std::int64_t> whole;  // cuts, in growing order
    std::vector<std::string> broken;  // what is wrong with the other files, path first
  };
  // Among the files that count: ours, and those of the run that we continue.
  [[nodiscard]] Search Find() const;
  // kNotFound, kInvalid with the reason. Buffers come from `pool`.
  [[nodiscard]] Result<Checkpoint> Load(std::int64_t cut, BufferPool& pool) const;

  struct Run {
    std::string uid;
    Incarnation newest;
    std::int64_t cut = 0;  // the newest that it has for this server, by name; 0: none for it
  };
  // Other runs that have checkpoints of any server below `root`, the one started last first.
  [[nodiscard]] std::vector<Run> OtherRuns() const;
  // From now on the checkpoints of run `uid` up to `cut` count too; empty: of none.
  void Continue(const std::string& uid, std::int64_t cut);
  // The run that we continue, also from before this process started; empty: none.
  [[nodiscard]] const std::string& run() const { return run_; }

  // ---- the fence
  // Above every incarnation that has left a trace for this server.
  [[nodiscard]] Incarnation Next() const;
  // Claims the first free incarnation from `at_least` on that is above all others; see
  // IncarnationClaim::after. kConflict: since the last claim through this object somebody else has
  // taken over, who must not be pushed aside in turn.
  Result<Incarnation> Claim(Incarnation at_least, std::optional<std::int64_t> after);
  // Claims exactly this one. kConflict: it, or a newer one, is somebody else's.
  Status ClaimExactly(Incarnation incarnation, std::int64_t after);
  // The last that was claimed through this object; 0: none.
  [[nodiscard]] Incarnation claimed() const { return claimed_; }
  // kConflict when somebody has claimed a newer incarnation than `mine`.
  [[nodiscard]] Status CheckFence(Incarnation mine) const;

  // ---- writing
  // Writes aside, fsyncs, renames; then removes this server's files beyond `keep`, and those of
  // incarnations up to the checkpoint's own that were given up. kConflict: a newer incarnation has
  // taken over, and nothing was removed. Returns the bytes of the file.
  Result<std::uint64_t> Save(const Checkpoint& checkpoint, std::int64_t keep) const;
  // Removes what was given up by the incarnations up to `mine`: it no longer counts anyway.
  void RemoveGivenUp(Incarnation mine) const;

 private:
  CheckpointFolder(std::string root, std::string uid, std::int64_t shard, std::int64_t shards);
  [[nodiscard]] std::vector<CheckpointFile> FilesOf(const std::string& uid) const;
  [[nodiscard]] std::vector<CheckpointFile> Files() const;
  [[nodiscard]] std::string FolderOf(const std::string& uid) const;
  [[nodiscard]] std::string Path(std::int64_t cut, Incarnation incarnation) const;
  Result<bool> TryClaim(Incarnation incarnation, std::optional<std::int64_t> after);
  void RemoveUnfinished() const;
  // After a checkpoint of `cut` was written: what goes of the incarnations up to `mine`.
  void Prune(std::int64_t cut, Incarnation mine, std::int64_t keep) const;

  std::string root_, uid_, folder_;
  std::int64_t shard_, shards_;
  std::string run_;
  std::int64_t run_cut_ = 0;
  std::string owner_;
  Incarnation claimed_;
};

}  // namespace elephas
