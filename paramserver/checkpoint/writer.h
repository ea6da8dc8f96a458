// Writes checkpoints on a thread of its own, so that training goes on meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "common/base/mutex.h"
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

  Mutex mutex_;
  CondVar changed_;
  std::optional<Checkpoint> waiting_ ELEPHAS_GUARDED_BY(mutex_);
  bool writing_ ELEPHAS_GUARDED_BY(mutex_) = false;
  bool stop_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace elephas
