// Examples per second over the last few seconds. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

#include "common/base/clock.h"

namespace elephas {

class Throughput {
 public:
  // `total` examples had been applied at `now`; both never go back (Reset() otherwise).
  void Add(Clock::TimePoint now, std::int64_t total);
  void Reset() { samples_.clear(); }
  // 0 until there are two moments to compare.
  [[nodiscard]] double ExamplesPerSecond() const;

 private:
  struct Sample {
    Clock::TimePoint time;
    std::int64_t total = 0;
  };
  std::deque<Sample> samples_;
};

}  // namespace elephas
