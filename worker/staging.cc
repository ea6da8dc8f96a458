#include "worker/staging.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>
#include <vector>

namespace elephas {

namespace {

template <typename Function>
void ForEach(Batch& batch, Function&& function) {
  for (auto* group : {&batch.features, &batch.labels, &batch.sample_weights}) {
    for (at::Tensor& tensor : *group) {
      if (tensor.defined()) function(tensor);
    }
  }
}

}  // namespace

Staging::Staging(c10::Device device) : device_(device) {
  if (device_.is_cpu()) return;
  const c10::impl::VirtualGuardImpl guard(device_.type());
  stream_ = guard.getStreamFromGlobalPool(device_, /*isHighPriority=*/false);
}

Staging::Ahead Staging::Send(const Batches& batches, std::int64_t index) {
  Ahead sent;
  sent.batches = &batches;
  sent.index = index;
  sent.pinned = batches.At(index);
  ForEach(sent.pinned, [](at::Tensor& tensor) { tensor = tensor.contiguous().pin_memory(); });
  sent.batch = sent.pinned;
  const c10::StreamGuard guard(*stream_);
  ForEach(sent.batch, [&](at::Tensor& tensor) {
    tensor = tensor.to(device_, tensor.scalar_type(), /*non_blocking=*/true);
  });
  sent.copied.emplace(device_.type());
  sent.copied->record(*stream_);
  return sent;
}

Batch Staging::At(const Batches& batches, std::int64_t index, std::int64_t next) {
  if (!stream_) return batches.At(index);
  const bool there = ahead_ && ahead_->batches == &batches && ahead_->index == index;
  Ahead now = there ? std::exchange(ahead_, std::nullopt).value() : Send(batches, index);
  const c10::impl::VirtualGuardImpl guard(device_.type());
  const c10::Stream compute = guard.getStream(device_);
  now.copied->block(compute);
  // The allocator must not give the memory away while the compute stream may still read it.
  ForEach(now.batch, [&](at::Tensor& tensor) { tensor.record_stream(compute); });
  Batch batch = now.batch;
  current_ = std::move(now);
  ahead_.reset();
  if (next >= 0) ahead_ = Send(batches, next);
  return batch;
}

}  // namespace elephas
