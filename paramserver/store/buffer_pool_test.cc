#include "paramserver/store/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <thread>
#include <vector>

namespace elephas {
namespace {

TEST(BufferPoolTest, BuffersAreAlignedAndAsLongAsAsked) {
  BufferPool pool;
  for (const std::int64_t elements : {0, 1, 15, 16, 1000, 600000}) {
    const auto buffer = pool.Acquire(elements);
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(buffer->floats().size(), static_cast<std::size_t>(elements));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->floats().data()) % 64, 0U);
    for (float& value : buffer->floats()) value = 1;  // all of it can be written to
  }
}

TEST(BufferPoolTest, MemoryComesBackForTheSameSizeOnly) {
  BufferPool pool;
  auto buffer = pool.Acquire(100);
  const float* memory = buffer->floats().data();
  buffer.reset();
  const auto other = pool.Acquire(101);
  const auto again = pool.Acquire(100);
  EXPECT_EQ(again->floats().data(), memory);
  EXPECT_NE(other->floats().data(), memory);
}

TEST(BufferPoolTest, ABufferIsNotGivenOutWhileSomebodyHoldsIt) {
  BufferPool pool;
  const auto first = pool.Acquire(10);
  const std::shared_ptr<const FloatBuffer> reader = first;
  const auto second = pool.Acquire(10);
  EXPECT_NE(first->floats().data(), second->floats().data());
}

TEST(BufferPoolTest, BuffersMayOutliveThePool) {
  std::optional<BufferPool> pool(std::in_place);
  const auto buffer = pool->Acquire(10);
  pool.reset();
  buffer->floats()[9] = 3;
  EXPECT_EQ(buffer->floats()[9], 3);
}

TEST(BufferPoolTest, WhatCannotBeHadIsNull) {
  BufferPool pool;
  EXPECT_EQ(pool.Acquire(std::int64_t{1} << 58), nullptr);
}

TEST(BufferPoolTest, ManyThreadsNeverShareABuffer) {
  BufferPool pool;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&pool, t] {
      for (int i = 0; i < 500; ++i) {
        const auto buffer = pool.Acquire(64);
        std::ranges::fill(buffer->floats(), static_cast<float>(t));
        const std::span<float> floats = buffer->floats();
        ASSERT_EQ(std::accumulate(floats.begin(), floats.end(), 0.0F), static_cast<float>(64 * t));
      }
    });
  }
}

}  // namespace
}  // namespace elephas
