#include "worker/keras/config/shape.h"

#include <algorithm>

namespace elephas::keras {

std::string ToString(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i] == kUnknown ? "None" : std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

Result<std::int64_t> Elements(const Shape& shape) {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return Invalid("shape " + ToString(shape) + " is not fully known");
    if (__builtin_mul_overflow(product, extent, &product) || product > kMaxElements) {
      return Invalid("shape " + ToString(shape) + " is too large");
    }
  }
  return product;
}

Result<std::int64_t> NormalizeAxis(std::int64_t axis, std::size_t rank) {
  const auto count = static_cast<std::int64_t>(rank);
  if (axis < -count || axis >= count) {
    return Invalid("axis " + std::to_string(axis) + " is outside a tensor of rank " +
                   std::to_string(rank));
  }
  return axis < 0 ? axis + count : axis;
}

Result<Shape> BroadcastShapes(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t left = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t right = i < b.size() ? b[b.size() - 1 - i] : 1;
    std::int64_t& extent = out[out.size() - 1 - i];
    if (left == right || right == 1) {
      extent = left;
    } else if (left == 1) {
      extent = right;
    } else if (left == kUnknown || right == kUnknown) {
      extent = std::max(left, right);
    } else {
      return Invalid("shapes " + ToString(a) + " and " + ToString(b) + " do not fit");
    }
  }
  return out;
}

}  // namespace elephas::keras
