#include "worker/data/finite.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace elephas {

namespace {

// All exponent bits set: NaN or infinity. On bits, so that no compiler flag about floats changes
// it.
bool NonFinite(float value) {
  constexpr std::uint32_t kExponent = 0x7F800000;
  return (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent;
}

}  // namespace

std::size_t FindNonFinite(std::span<const float> values) {
  // A block without an early exit is one vector loop; only a block with a culprit is searched.
  constexpr std::size_t kBlock = 4096;
  for (std::size_t first = 0; first < values.size(); first += kBlock) {
    const std::span<const float> block =
        values.subspan(first, std::min(kBlock, values.size() - first));
    std::uint32_t found = 0;
    for (const float value : block) found |= NonFinite(value) ? 1U : 0U;
    if (found == 0) continue;
    return first + static_cast<std::size_t>(std::find_if(block.begin(), block.end(), NonFinite) -
                                            block.begin());
  }
  return values.size();
}

std::string NonFiniteName(float value, bool narrowed) {
  if (std::isnan(value)) return "NaN";
  return narrowed ? "infinity, or too large for float32" : "infinity";
}

}  // namespace elephas
