#include "paramserver/store/parameter_store.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <utility>

namespace elephas {

namespace {

void Difference(std::span<const float> a, std::span<const float> b, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = a[i] - b[i];
}

void SubtractAtomically(float& target, float delta) {
  std::atomic_ref<float> shared(target);
  float seen = shared.load(std::memory_order_relaxed);
  while (!shared.compare_exchange_weak(seen, seen - delta, std::memory_order_relaxed)) {
  }
}

// All exponent bits set: NaN or infinity. Tested on the bits so that the loop vectorises.
constexpr std::uint32_t kExponent = 0x7F800000U;

}  // namespace

bool AllFinite(std::span<const float> values) {
  std::uint32_t found = 0;
  for (const float value : values) {
    found |= (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent ? 1U : 0U;
  }
  return found == 0;
}

ParameterStore::ParameterStore(Range range, std::int64_t trainable, BufferPool& pool)
    : range_(range), trainable_(trainable), pool_(pool) {}

void ParameterStore::Set(std::shared_ptr<FloatBuffer> parameters,
                         std::vector<std::shared_ptr<FloatBuffer>> slots, Version version,
                         std::int64_t iterations) {
  parameters_ = std::move(parameters);
  slots_ = std::move(slots);
  version_ = version;
  iterations_ = iterations;
}

ParameterStore::Next ParameterStore::Subtract(std::span<const float> delta) const {
  Next next{pool_.Acquire(range_.size()), slots_, iterations_};
  if (next.parameters) {
    Difference(std::as_const(*parameters_).floats(), delta, next.parameters->floats());
  }
  return next;
}

ParameterStore::Next ParameterStore::Average(Round::Contribution& mean) const {
  Next next = Subtract(std::as_const(*mean.delta).floats());
  next.slots = mean.slots;
  next.iterations = iterations_ + mean.steps;
  return next;
}

ParameterStore::Next ParameterStore::Step(const Optimizer& optimizer,
                                          std::span<const WeightSlice> weights,
                                          Round::Contribution& mean) const {
  Next next{pool_.Acquire(range_.size()), {}, iterations_ + 1};
  if (!next.parameters) return next;
  const auto trainable = static_cast<std::size_t>(trainable_);
  const std::span<const float> before = std::as_const(*parameters_).floats();
  const std::span<float> after = next.parameters->floats();
  std::ranges::copy(before.first(trainable), after.begin());
  Difference(before.subspan(trainable), std::as_const(*mean.delta).floats().subspan(trainable),
             after.subspan(trainable));

  std::vector<std::span<float>> slots;
  for (const std::shared_ptr<FloatBuffer>& slot : slots_) {
    // A slot that only the store holds is changed in place; one that a checkpoint still writes is
    // copied. Nobody else can take hold of it meanwhile: that needs the caller's lock.
    const bool only_ours = slot.use_count() == 1;
    // use_count() alone does not order a reader's last look before our first change; giving back a
    // reference does, as the reader did so when it let go.
    std::shared_ptr<FloatBuffer>(slot).reset();
    std::shared_ptr<FloatBuffer> target = slot;
    if (!only_ours) {
      target = pool_.Acquire(trainable_);
      if (!target) return {};
      std::ranges::copy(std::as_const(*slot).floats(), target->floats().begin());
    }
    slots.push_back(target->floats());
    next.slots.push_back(std::move(target));
  }
  optimizer.Step(iterations_, after.first(trainable), mean.delta->floats().first(trainable), slots,
                 weights);
  return next;
}

void ParameterStore::Publish(Next next) {
  parameters_ = std::move(next.parameters);
  slots_ = std::move(next.slots);
  iterations_ = next.iterations;
  ++version_;
}

void SubtractInPlace(std::span<float> shared, std::span<const float> delta) {
  for (std::size_t i = 0; i < shared.size(); ++i) SubtractAtomically(shared[i], delta[i]);
}

void CopyShared(std::span<float> shared, std::span<float> copy) {
  for (std::size_t i = 0; i < shared.size(); ++i) {
    copy[i] = std::atomic_ref<float>(shared[i]).load(std::memory_order_relaxed);
  }
}

}  // namespace elephas
