// Numbers in text files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace elephas {

enum class NumberError : std::uint8_t {
  kNone,
  kNotANumber,  // other characters, or nothing
  kNotFinite,   // "nan", "inf"
  kTooLarge,    // beyond float32
};

// The whole of `text` as a decimal number, with an optional sign. A number too small for float32
// becomes 0 or subnormal, as casts do.
NumberError ParseFloat(std::string_view text, float& value);

// The number at the start of [begin, end) when it is a plain one; returns where it ends, or null.
// The fast path of readers: on null, cut the cell out and ask ParseFloat.
const char* ParseFloatPrefix(const char* begin, const char* end, float& value);

// The whole of `text` as an integer with an optional sign; nothing when it is not one or does not
// fit.
std::optional<std::int64_t> ParseInteger(std::string_view text);

// Without spaces and tabs at both ends.
std::string_view TrimBlanks(std::string_view text);

// "'abc' is not a number", for messages; long or unprintable text is shortened.
std::string Describe(NumberError error, std::string_view text);

}  // namespace elephas
