// Batches on their way to the device: gathered into pinned memory and copied on a stream of their
// own while the device still computes the batch before. On the CPU a batch is what Batches gives.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <optional>

#include "worker/batches.h"

namespace elephas {

// Not thread-safe. Uses LibTorch's device-independent streams and events, so that the program needs
// nothing of CUDA to link.
class Staging {
 public:
  explicit Staging(c10::Device device);

  // Batch `index` on the device. `next`: the one that will be asked for after it, or -1; it is sent
  // ahead. The tensors are valid until the call after the next.
  Batch At(const Batches& batches, std::int64_t index, std::int64_t next);
  // What was sent ahead is thrown away: its Batches may be gone.
  void Forget() { ahead_.reset(); }

 private:
  struct Ahead {
    const Batches* batches = nullptr;
    std::int64_t index = -1;
    Batch pinned, batch;  // the pinned memory must stay until the copy is done
    std::optional<c10::Event> copied;
  };
  Ahead Send(const Batches& batches, std::int64_t index);

  const c10::Device device_;
  std::optional<c10::Stream> stream_;  // of the copies
  std::optional<Ahead> ahead_, current_;
};

}  // namespace elephas
