// A clock that only moves when a test says so.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "common/base/clock.h"

namespace elephas {

// Thread-safe.
class FakeClock final : public Clock {
 public:
  void Advance(std::chrono::milliseconds time) { elapsed_ += time.count(); }
  [[nodiscard]] TimePoint Now() const override {
    return TimePoint(std::chrono::milliseconds(elapsed_.load()));
  }
  [[nodiscard]] std::int64_t UnixMillis() const override { return kStart + elapsed_.load(); }

 private:
  static constexpr std::int64_t kStart = 1'700'000'000'000;
  std::atomic<std::int64_t> elapsed_{0};
};

}  // namespace elephas
