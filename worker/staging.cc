#include "worker/staging.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdlib>
#include <utility>
#include <vector>

namespace elephas {

namespace {

// Calls function(from, to) for all arrays of a batch or of data that are there; both have the same
// three groups of them.
template <typename From, typename To, typename Function>
void ForEach(const From& from, To& to, Function&& function) {
  const auto group = [&](const std::vector<at::Tensor>& source, std::vector<at::Tensor>& target) {
    target.resize(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
      if (source[i].defined()) function(source[i], target[i]);
    }
  };
  group(from.features, to.features);
  group(from.labels, to.labels);
  group(from.sample_weights, to.sample_weights);
}

}  // namespace

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
  ForEach(*resident_, batch, [&](const at::Tensor& all, at::Tensor& rows) {
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
  ForEach(gathered, sent.pinned,
          [](const at::Tensor& from, at::Tensor& to) { to = from.contiguous().pin_memory(); });
  const c10::StreamGuard guard(*stream_);
  ForEach(sent.pinned, sent.batch, [&](const at::Tensor& from, at::Tensor& to) {
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
    ModelData resident;
    ForEach(data_, resident, [&](const at::Tensor& from, at::Tensor&) {
      bytes += static_cast<std::int64_t>(from.nbytes());
    });
    if (bytes <= MostResidentBytes()) {
      ForEach(data_, resident,
              [&](const at::Tensor& from, at::Tensor& to) { to = from.contiguous().to(device_); });
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
  ForEach(now.batch, now.batch,
          [&](const at::Tensor& tensor, at::Tensor&) { tensor.record_stream(compute); });
  Batch batch = now.batch;
  current_ = std::move(now);
  ahead_.reset();
  if (next >= 0) ahead_ = Send(batches, next);
  return batch;
}

}  // namespace elephas
