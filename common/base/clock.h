// Time as an argument: the pure parts ask a Clock, tests move a fake one by hand.
#pragma once

#include <chrono>
#include <cstdint>

namespace elephas {

class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  // Monotonic. Thread-safe.
  [[nodiscard]] virtual TimePoint Now() const = 0;
  // Wall clock, milliseconds since 1970. Thread-safe.
  [[nodiscard]] virtual std::int64_t UnixMillis() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] std::int64_t UnixMillis() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace elephas
