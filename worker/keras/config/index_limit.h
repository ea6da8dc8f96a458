#pragma once

#include <cstdint>
#include <string>

namespace elephas::keras {

// A layer that looks up its input's values: they must lie in [0, count).
struct IndexLimit {
  std::string layer, class_name;
  std::int64_t count = 0;
};

}  // namespace elephas::keras
