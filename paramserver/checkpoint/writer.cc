#include "paramserver/checkpoint/writer.h"

#include <chrono>
#include <utility>

namespace elephas {

CheckpointWriter::CheckpointWriter(CheckpointFolder folder, std::int64_t keep, Done done)
    : folder_(std::move(folder)), keep_(keep), done_(std::move(done)), thread_([this] { Run(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointWriter::Submit(Checkpoint checkpoint, bool may_replace) {
  std::unique_lock lock(mutex_);
  if (!may_replace) changed_.wait(lock, [&] { return !waiting_.has_value(); });
  waiting_ = std::move(checkpoint);
  lock.unlock();
  changed_.notify_all();
}

void CheckpointWriter::Drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !waiting_.has_value() && !writing_; });
}

void CheckpointWriter::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return waiting_.has_value() || stop_; });
    if (!waiting_) return;
    std::optional<Checkpoint> checkpoint = std::exchange(waiting_, std::nullopt);
    writing_ = true;
    lock.unlock();
    changed_.notify_all();
    const auto start = std::chrono::steady_clock::now();
    const Result<std::uint64_t> saved = folder_.Save(*checkpoint, keep_);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const Report report{checkpoint->cut, saved.status(), took.count(), saved.ok() ? *saved : 0};
    checkpoint.reset();  // its buffers go back to the pool before anyone is told
    done_(report);
    lock.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

}  // namespace elephas
