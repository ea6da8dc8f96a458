#include "common/protocol/weighted_sum.h"

#include <cstddef>

namespace elephas {

void Scale(float weight, std::span<float> values) {
  for (float& value : values) value *= weight;
}

void AddScaled(float weight, std::span<const float> values, std::span<float> sum) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * values[i];
}

}  // namespace elephas
