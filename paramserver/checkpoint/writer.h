// Writes checkpoints on a thread of its own, so that training goes on meanwhile.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "paramserver/checkpoint/checkpoint.h"

namespace elephas {

class CheckpointWriter {
 public:
  struct Report {
    std::int64_t cut = 0;
    Status status;
    double seconds = 0;       // that it took
    std::uint64_t bytes = 0;  // of the file
  };
  // Called on the writer's thread after each attempt.
  using Done = std::function<void(const Report& report)>;

  CheckpointWriter(CheckpointFolder folder, std::int64_t keep, Done done);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();  // writes what is waiting

  // Takes over at once; a checkpoint that still waits is replaced by a newer one when
  // `may_replace` (several servers must all write the same cuts: there it waits for room instead).
  void Submit(Checkpoint checkpoint, bool may_replace);
  // Returns when nothing is waiting or being written.
  void Drain();

 private:
  void Run();

  const CheckpointFolder folder_;
  const std::int64_t keep_;
  const Done done_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Checkpoint> waiting_;  // guarded by mutex_
  bool writing_ = false;               // guarded by mutex_
  bool stop_ = false;                  // guarded by mutex_
  std::thread thread_;
};

}  // namespace elephas
