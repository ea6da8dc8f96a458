#include "common/base/random.h"

#include <numeric>
#include <utility>

namespace elephas {

std::uint64_t SplitMix64::Next() {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

std::uint64_t SplitMix64::Below(std::uint64_t bound) {
  // Values below `threshold` would make the first residues likelier than the rest.
  const std::uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t value = Next();
    if (value >= threshold) return value % bound;
  }
}

double SplitMix64::NextDouble() { return static_cast<double>(Next() >> 11U) * 0x1.0p-53; }

std::uint64_t MixSeed(std::initializer_list<std::uint64_t> parts) {
  std::uint64_t mixed = 0;
  for (const std::uint64_t part : parts) mixed = SplitMix64(mixed ^ part).Next();
  return mixed;
}

std::vector<std::int64_t> ShuffledRows(std::int64_t rows, std::uint64_t seed, std::int64_t epoch,
                                       std::int64_t partition) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  SplitMix64 random(
      MixSeed({seed, static_cast<std::uint64_t>(epoch), static_cast<std::uint64_t>(partition)}));
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[random.Below(i)]);
  }
  return order;
}

}  // namespace elephas
