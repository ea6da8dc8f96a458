// One server's range of the flat parameters and of the optimizer's slots.
//
// What a reader gets is immutable: every change makes the next snapshot in a recycled buffer and
// publishes it by exchanging a pointer. So a pull never waits for a push, never sees half of one,
// and a checkpoint costs no copy. Hogwild is the exception, on purpose: there the one buffer
// changes in place, element by element, and readers copy it.
//
// Not thread-safe: the caller lets one thread at a time change the store, and publishes under the
// lock that readers take.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/named_type.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/partitioning.h"
#include "paramserver/store/buffer_pool.h"
#include "paramserver/store/round.h"

namespace elephas {

using SharedFloats = std::shared_ptr<const FloatBuffer>;

class ParameterStore {
 public:
  // `range`: elements of the arena that are here; the first `trainable` of them are trained.
  ParameterStore(Range range, std::int64_t trainable, BufferPool& pool);

  [[nodiscard]] Range range() const { return range_; }
  [[nodiscard]] std::int64_t trainable() const { return trainable_; }
  [[nodiscard]] bool initialised() const { return parameters_ != nullptr; }
  [[nodiscard]] Version version() const { return version_; }
  [[nodiscard]] std::int64_t iterations() const { return iterations_; }
  [[nodiscard]] SharedFloats parameters() const { return parameters_; }
  [[nodiscard]] std::vector<SharedFloats> slots() const { return {slots_.begin(), slots_.end()}; }

  void Set(std::shared_ptr<FloatBuffer> parameters, std::vector<std::shared_ptr<FloatBuffer>> slots,
           Version version, std::int64_t iterations);

  // What the store becomes; nothing has changed until Publish. Null buffer: memory is exhausted.
  struct Next {
    std::shared_ptr<FloatBuffer> parameters;
    std::vector<std::shared_ptr<FloatBuffer>> slots;
    std::int64_t iterations = 0;
  };
  // Asynchronous: parameters - delta.
  [[nodiscard]] Next Subtract(std::span<const float> delta) const;
  // Synchronous epoch and fit: parameters - mean delta, slots = mean slots.
  [[nodiscard]] Next Average(Round::Contribution& mean) const;
  // Synchronous batch: one optimizer step with the mean gradient over the trainable part,
  // parameters - mean delta over the rest. `weights` are relative to this range. Changes `mean`
  // (scratch).
  [[nodiscard]] Next Step(const Optimizer& optimizer, std::span<const WeightSlice> weights,
                          Round::Contribution& mean) const;
  // Version grows by one.
  void Publish(Next next);

  // Hogwild: the buffer that SubtractInPlace changes.
  [[nodiscard]] std::shared_ptr<FloatBuffer> shared_parameters() const { return parameters_; }
  void CountUpdate() { ++version_; }

 private:
  Range range_;
  std::int64_t trainable_;
  BufferPool& pool_;
  std::shared_ptr<FloatBuffer> parameters_;
  std::vector<std::shared_ptr<FloatBuffer>> slots_;
  Version version_;
  std::int64_t iterations_ = 0;
};

// Hogwild. Any number of threads at once, without a lock: each element is changed by one
// compare-and-swap, so no delta is lost; a reader may see some elements before and some after it.
void SubtractInPlace(std::span<float> shared, std::span<const float> delta);
// Reads `shared`, which others may be changing, element by element.
void CopyShared(std::span<float> shared, std::span<float> copy);

// True when no element is a NaN or an infinity.
bool AllFinite(std::span<const float> values);

}  // namespace elephas
