#include "paramserver/store/buffer_pool.h"

#include <sys/mman.h>

#include <cstdlib>
#include <map>
#include <vector>

#include "common/base/mutex.h"

namespace elephas {

namespace {

struct Free {
  // NOLINTNEXTLINE(cppcoreguidelines-no-malloc): this is the owner
  void operator()(float* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<float, Free>;

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// One being published, one being filled, and two for bursts; more would only hold memory.
constexpr std::size_t kKeptPerSize = 4;

Memory Allocate(std::int64_t elements) {
  const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(float);
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  Memory memory(
      static_cast<float*>(std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded)));
  if (memory && bytes >= kHugePage) {
    // Only a hint: without huge pages everything works, with more page faults.
    (void)madvise(memory.get(), rounded, MADV_HUGEPAGE);
  }
  return memory;
}

}  // namespace

struct BufferPool::State {
  Mutex mutex;
  // By number of elements.
  std::map<std::int64_t, std::vector<Memory>> free ELEPHAS_GUARDED_BY(mutex);
};

namespace {

template <typename State>
class PooledBuffer final : public FloatBuffer {
 public:
  PooledBuffer(Memory memory, std::int64_t elements, std::weak_ptr<State> pool)
      : memory_(std::move(memory)), elements_(elements), pool_(std::move(pool)) {}
  PooledBuffer(const PooledBuffer&) = delete;
  PooledBuffer& operator=(const PooledBuffer&) = delete;
  ~PooledBuffer() override {
    if (const std::shared_ptr<State> pool = pool_.lock()) {
      const MutexLock lock(pool->mutex);
      auto& kept = pool->free[elements_];
      if (kept.size() < kKeptPerSize) kept.push_back(std::move(memory_));
    }
  }
  std::span<float> floats() override {
    return {memory_.get(), static_cast<std::size_t>(elements_)};
  }
  [[nodiscard]] std::span<const float> floats() const override {
    return {memory_.get(), static_cast<std::size_t>(elements_)};
  }

 private:
  Memory memory_;
  std::int64_t elements_;
  std::weak_ptr<State> pool_;
};

}  // namespace

BufferPool::BufferPool() : state_(std::make_shared<State>()) {}

std::shared_ptr<FloatBuffer> BufferPool::Acquire(std::int64_t elements) {
  Memory memory;
  {
    const MutexLock lock(state_->mutex);
    const auto it = state_->free.find(elements);
    if (it != state_->free.end() && !it->second.empty()) {
      memory = std::move(it->second.back());
      it->second.pop_back();
    }
  }
  if (!memory) memory = Allocate(elements);
  if (!memory) return nullptr;
  return std::make_shared<PooledBuffer<State>>(std::move(memory), elements, state_);
}

}  // namespace elephas
