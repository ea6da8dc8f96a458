#include "worker/keras_file/isolated.h"

#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

namespace elephas::keras_file {
namespace {

constexpr std::uint64_t kMemory = std::uint64_t{1} << 30;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(ReadIsolatedTest, WhatTheChildWritesArrives) {
  const std::string large(5 << 20, 'x');
  const Result<std::string> result = ReadIsolated(
      [&](const ByteSink& sink) {
        return sink(Bytes("head ")) && sink(Bytes(large)) ? OkStatus() : Internal("no");
      },
      10, kMemory);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(*result, "head " + large);
}

TEST(ReadIsolatedTest, AnErrorComesAsItIs) {
  const Result<std::string> result = ReadIsolated(
      [&](const ByteSink& sink) {
        sink(Bytes("half of it"));
        return NotFound("nothing \u00e9");
      },
      10, kMemory);
  EXPECT_EQ(result.status().code(), Code::kNotFound);
  EXPECT_EQ(result.status().message(), "nothing \u00e9");
}

TEST(ReadIsolatedTest, ACrashOfTheChildIsARefusal) {
  const Result<std::string> result = ReadIsolated(
      [](const ByteSink& sink) {
        sink(Bytes("half of it"));
        std::raise(SIGSEGV);
        return OkStatus();
      },
      10, kMemory);
  EXPECT_EQ(result.status().code(), Code::kInvalid);
  EXPECT_EQ(result.status().message(), "is broken: reading it crashes");
}

TEST(ReadIsolatedTest, AnEndlessLoopIsStopped) {
  const Result<std::string> result = ReadIsolated(
      [](const ByteSink&) {
        volatile unsigned turns = 0;
        while (true) turns = turns + 1;
        return OkStatus();
      },
      1, kMemory);
  EXPECT_EQ(result.status().code(), Code::kInvalid);
  EXPECT_EQ(result.status().message(), "is broken: reading it takes too much time or memory");
}

TEST(ReadIsolatedTest, TheChildGetsNoMoreMemoryThanItMayUse) {
  const Result<std::string> result = ReadIsolated(
      [](const ByteSink& sink) {
        const std::string large(3 * kMemory, 'x');
        return sink(Bytes(large)) ? OkStatus() : Internal("no");
      },
      10, kMemory);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  // Their operator new does not throw.
  EXPECT_FALSE(result.ok());
#else
  EXPECT_EQ(result.status().message(), "not enough memory");
#endif
}

}  // namespace
}  // namespace elephas::keras_file
