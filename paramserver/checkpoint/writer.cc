#include "paramserver/checkpoint/writer.h"

#include <chrono>
#include <utility>

namespace elephas {

CheckpointWriter::CheckpointWriter(CheckpointFolder folder, std::int64_t keep, Done done)
    : folder_(std::move(folder)), keep_(keep), done_(std::move(done)), thread_([this] { Run(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void CheckpointWriter::Submit(Checkpoint checkpoint, bool may_replace) {
  MutexLock lock(mutex_);
  while (!may_replace && waiting_) changed_.Wait(mutex_);
  waiting_ = std::move(checkpoint);
  lock.Unlock();
  changed_.NotifyAll();
}

void CheckpointWriter::Drain() {
  const MutexLock lock(mutex_);
  while (waiting_ || writing_) changed_.Wait(mutex_);
}

void CheckpointWriter::Run() {
  MutexLock lock(mutex_);
  for (;;) {
    while (!waiting_ && !stop_) changed_.Wait(mutex_);
    if (!waiting_) return;
    std::optional<Checkpoint> checkpoint = std::exchange(waiting_, std::nullopt);
    writing_ = true;
    lock.Unlock();
    changed_.NotifyAll();
    const auto start = std::chrono::steady_clock::now();
    const Result<std::uint64_t> saved = folder_.Save(*checkpoint, keep_);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const Report report{checkpoint->cut, saved.status(), took.count(), saved.ok() ? *saved : 0};
    checkpoint.reset();  // its buffers go back to the pool before anyone is told
    done_(report);
    lock.Lock();
    writing_ = false;
    changed_.NotifyAll();
  }
}

}  // namespace elephas
