// The sums of synchronous rounds. Parameter server and workers add with the same loops, in the same
// order, so a round gives the same bits whoever adds it up.
#pragma once

#include <span>

namespace elephas {

void Scale(float weight, std::span<float> values);
// sum += weight * values. Spans of equal length that do not overlap.
void AddScaled(float weight, std::span<const float> values, std::span<float> sum);

}  // namespace elephas
