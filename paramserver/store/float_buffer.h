// Memory for parameters that server and requests hand to each other.
#pragma once

#include <span>

namespace elephas {

// Recycled, 64-byte aligned float vector; returns to its pool when the last owner lets go.
class FloatBuffer {
 public:
  [[nodiscard]] virtual std::span<float> floats() = 0;
  [[nodiscard]] virtual std::span<const float> floats() const = 0;
  virtual ~FloatBuffer() = default;
};

}  // namespace elephas
