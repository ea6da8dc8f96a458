// Batches on their way to the device. Data that takes little of a GPU's memory goes there once and
// is gathered there. Other batches are gathered into pinned memory and copied on a stream of their
// own while the device still computes the batch before. On the CPU a batch is what Batches gives.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <optional>

#include "worker/train/batches.h"

namespace elephas {

// Not thread-safe. Uses LibTorch's device-independent streams and events, so that the program needs
// nothing of CUDA to link.
class Staging {
 public:
  // `data`: what all Batches will be of; it must outlive this. ELEPHAS_RESIDENT_DATA_BYTES says how
  // much of it may stay on a GPU instead of a quarter of the memory that is free there.
  Staging(c10::Device device, const ModelData& data);

  // Batch `index` on the device. `next`: the one that will be asked for after it, or -1; it is sent
  // ahead. The tensors are valid until the call after the next.
  Batch At(const Batches& batches, std::int64_t index, std::int64_t next);
  // What was sent ahead is thrown away.
  void Forget() { ahead_.reset(); }

 private:
  struct Ahead {
    std::uint64_t batches = 0;  // their id()
    std::int64_t index = -1;
    Batch pinned, batch;  // the pinned memory must stay until the copy is done
    std::optional<c10::Event> copied;
  };
  [[nodiscard]] std::int64_t MostResidentBytes() const;
  Batch Gather(const Batches& batches, std::int64_t index);
  Ahead Send(const Batches& batches, std::int64_t index);

  const c10::Device device_;
  const ModelData& data_;
  bool tried_ = false;  // to have the data on the device
  std::optional<ModelData> resident_;
  std::uint64_t order_of_ = 0;         // id() of the Batches whose order is on the device
  at::Tensor order_;                   // absolute rows; undefined: as they stand
  std::optional<c10::Stream> stream_;  // of the copies
  std::optional<Ahead> ahead_, current_;
};

}  // namespace elephas
