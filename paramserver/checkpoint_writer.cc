#include "paramserver/checkpoint_writer.h"

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
    const Status saved = folder_.Save(*checkpoint, keep_);
    const std::int64_t cut = checkpoint->cut;
    checkpoint.reset();  // its buffers go back to the pool before anyone is told
    done_(cut, saved);
    lock.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

}  // namespace elephas
