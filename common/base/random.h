// Random numbers as pure functions: the same seed gives the same answer on every worker, so a task
// that is computed again after a crash is the same task.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace elephas {

// SplitMix64 (Steele, Lea, Flood 2014): each number takes one 64-bit step. Not thread-safe.
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next();
  // Uniform in [0, bound) without modulo bias. Precondition: bound > 0.
  std::uint64_t Below(std::uint64_t bound);
  // Uniform in [0, 1) with 53 bits.
  double NextDouble();

 private:
  std::uint64_t state_;
};

// One seed out of several numbers, e.g. {seed, epoch, partition, batch}. Order matters.
std::uint64_t MixSeed(std::initializer_list<std::uint64_t> parts);

// The order in which a partition's rows are visited in an epoch: a Fisher-Yates shuffle of
// 0..rows-1 driven by SplitMix64(MixSeed({seed, epoch, partition})).
std::vector<std::int64_t> ShuffledRows(std::int64_t rows, std::uint64_t seed, std::int64_t epoch,
                                       std::int64_t partition);

}  // namespace elephas
