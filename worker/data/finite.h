// NaN and infinity in large arrays.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace elephas {

// Index of the first NaN or infinity; values.size() when there is none.
std::size_t FindNonFinite(std::span<const float> values);

// "NaN", "infinity" or, for an infinity that may have been a finite double, a longer word.
std::string NonFiniteName(float value, bool narrowed);

}  // namespace elephas
