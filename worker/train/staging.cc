#include "worker/train/staging.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdlib>
#include <utility>
#include <vector>

namespace elephas {

Staging::Staging(c10::Device device, const ModelData& data) : device_(device), data_(data) {
  if (device_.is_cpu()) return;
  const c10::impl::VirtualGuardImpl guard(device_.type());
  stream_ = guard.getStreamFromGlobalPool(device_, /*isHighPriority=*/false);
}

std::int64_t Staging::MostResidentBytes() const {
  if (const char* most = std::getenv("ELEPHAS_RESIDENT_DATA_BYTES"); most != nullptr) {
    return std::atoll(most);
  }
  return static_cast<std::int64_t>(at::accelerator::getMemoryInfo(device_.index()).first / 4);
}

Batch Staging::Gather(const Batches& batches, std::int64_t index) {
  if (order_of_ != batches.id()) {
    order_ = at::Tensor();
    if (!batches.order().empty()) {
      order_ = at::tensor(at::IntArrayRef(batches.order()), at::kLong)
                   .add_(batches.rows().first)
                   .to(device_);
    }
    order_of_ = batches.id();
  }
  const Range range = BatchRows(batches.rows().size(), batches.batch_size(), index);
  Batch batch;
  batch.examples = range.size();
  MapArrays(*resident_, batch, [&](const at::Tensor& all, at::Tensor& rows) {
    rows = order_.defined() ? all.index_select(0, order_.narrow(0, range.first, range.size()))
                            : all.narrow(0, batches.rows().first + range.first, range.size());
  });
  return batch;
}

Staging::Ahead Staging::Send(const Batches& batches, std::int64_t index) {
  Ahead sent;
  sent.batches = batches.id();
  sent.index = index;
  const Batch gathered = batches.At(index);
  sent.pinned.examples = sent.batch.examples = gathered.examples;
  MapArrays(gathered, sent.pinned,
            [](const at::Tensor& from, at::Tensor& to) { to = from.contiguous().pin_memory(); });
  const c10::StreamGuard guard(*stream_);
  MapArrays(sent.pinned, sent.batch, [&](const at::Tensor& from, at::Tensor& to) {
    to = from.to(device_, from.scalar_type(), /*non_blocking=*/true);
  });
  sent.copied.emplace(device_.type());
  sent.copied->record(*stream_);
  return sent;
}

Batch Staging::At(const Batches& batches, std::int64_t index, std::int64_t next) {
  if (!stream_) return batches.At(index);
  if (!std::exchange(tried_, true)) {
    std::int64_t bytes = 0;
    ForEachArray(data_, [&](const at::Tensor& array) {
      bytes += static_cast<std::int64_t>(array.nbytes());
    });
    if (bytes <= MostResidentBytes()) {
      ModelData resident;
      MapArrays(data_, resident, [&](const at::Tensor& from, at::Tensor& to) {
        to = from.contiguous().to(device_);
      });
      resident_ = std::move(resident);
    }
  }
  if (resident_) return Gather(batches, index);
  const bool there = ahead_ && ahead_->batches == batches.id() && ahead_->index == index;
  Ahead now = there ? std::exchange(ahead_, std::nullopt).value() : Send(batches, index);
  const c10::impl::VirtualGuardImpl guard(device_.type());
  const c10::Stream compute = guard.getStream(device_);
  now.copied->block(compute);
  // The allocator must not give the memory away while the compute stream may still read it.
  ForEachArray(now.batch, [&](const at::Tensor& tensor) { tensor.record_stream(compute); });
  Batch batch = now.batch;
  current_ = std::move(now);
  ahead_.reset();
  if (next >= 0) ahead_ = Send(batches, next);
  return batch;
}

}  // namespace elephas
