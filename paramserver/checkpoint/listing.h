// Which checkpoints of one server count, by what lies in a folder: no content is read but that of
// the small claims.
//
//   checkpoint-<cut, 8 digits>-incarnation-<incarnation>-shard-<index>-of-<count>.safetensors
//   incarnation-<incarnation>-shard-<index>-of-<count>.json      a claim
//
// A server claims an incarnation before it writes as that incarnation, and a claim is created once:
// so no two processes write under one name, and whoever finds a higher claim than its own knows
// that it was succeeded (it is fenced). A claim says after which cut its incarnation goes on. What
// an older incarnation wrote beyond that cut belongs to a course of events that was given up, also
// when it is written later by a process that lives on: it does not count.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/named_type.h"
#include "common/base/result.h"

namespace elephas {

struct CheckpointFile {
  std::int64_t cut = 0;
  Incarnation incarnation;
  std::string path;
};

struct IncarnationClaim {
  Incarnation incarnation;
  // The cut it goes on from, 0: from the start. Left out: it is not decided, and hides nothing.
  std::optional<std::int64_t> after = {};
  // Checkpoints of another run up to a cut that count as if they were this run's; empty: none.
  std::string run = {};
  std::int64_t run_cut = 0;
  std::string host = {};   // of the process that claimed it
  std::string owner = {};  // that process: another one for each
  std::string path = {};
};

struct ShardListing {
  std::vector<CheckpointFile> files;     // by cut, then by incarnation
  std::vector<IncarnationClaim> claims;  // by incarnation
};

// Of server `shard` of `shards`. A folder that is not there is empty.
ShardListing ListShard(const std::string& folder, std::int64_t shard, std::int64_t shards);
// The files that count: per cut the one of the newest incarnation, without those that a claim
// hides.
std::vector<CheckpointFile> CountingFiles(std::vector<CheckpointFile> files,
                                          const std::vector<IncarnationClaim>& claims);
// Claims that hide nothing which a newer one does not hide as well.
std::vector<IncarnationClaim> SpentClaims(const std::vector<IncarnationClaim>& claims);

// Creates the claim. False: it exists.
Result<bool> WriteClaim(const std::string& folder, std::int64_t shard, std::int64_t shards,
                        const IncarnationClaim& claim);

std::string CheckpointName(std::int64_t cut, Incarnation incarnation, std::int64_t shard,
                           std::int64_t shards);

// Names of a time when all runs wrote into one folder; which run, the file's metadata says:
//   checkpoint-<cut, 8 digits>-shard-<index>-of-<count>.safetensors
// In the order of their cuts; incarnations are not set.
std::vector<CheckpointFile> ListFlat(const std::string& folder, std::int64_t shard,
                                     std::int64_t shards);

}  // namespace elephas
