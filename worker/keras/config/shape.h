// Tensor shapes as Keras configs speak of them: the batch axis included, -1 where unknown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace elephas::keras {

using Shape = std::vector<std::int64_t>;
using ShapeList = std::vector<Shape>;

inline constexpr std::int64_t kUnknown = -1;
// No tensor of a model may have more elements: far above anything real, far below overflow.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

// "(None, 28, 28, 1)", as Keras prints it.
std::string ToString(const Shape& shape);

// The product of the extents; kInvalid when one is unknown or negative or the product is too large.
Result<std::int64_t> Elements(const Shape& shape);

// The axis counted from 0; kInvalid when it is outside [-rank, rank).
Result<std::int64_t> NormalizeAxis(std::int64_t axis, std::size_t rank);

// NumPy's broadcasting, unknown extents included; kInvalid when the shapes do not fit.
Result<Shape> BroadcastShapes(const Shape& a, const Shape& b);

}  // namespace elephas::keras
