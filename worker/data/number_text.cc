#include "worker/data/number_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include "worker/files/printable.h"

namespace elephas {

namespace {

// from_chars takes '-' but not '+'. "+-1" stays wrong.
std::string_view WithoutPlus(std::string_view text) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+';
  return plus ? text.substr(1) : text;
}

// "12", "-0.5", "3.14159": up to seven digits without exponent, most of what data files hold, in a
// third of from_chars' time. Digits and power of ten are exact floats, so the one division rounds
// once and the result is from_chars' own. Null when the text is anything else.
const char* ParseShortDecimal(const char* at, const char* end, float& value) {
  constexpr std::array<float, 8> kPowersOfTen = {1e0F, 1e1F, 1e2F, 1e3F, 1e4F, 1e5F, 1e6F, 1e7F};
  constexpr std::size_t kMaxDigits = 7;
  const bool negative = at != end && *at == '-';
  if (negative) ++at;
  std::uint32_t digits = 0;
  std::size_t count = 0;
  std::size_t fraction = 0;
  bool point = false;
  for (; at != end; ++at) {
    const auto digit = static_cast<std::uint32_t>(*at - '0');
    if (digit <= 9) {
      if (++count > kMaxDigits) return nullptr;
      digits = digits * 10 + digit;
      fraction += point ? 1U : 0U;
    } else if (*at == '.' && !point) {
      point = true;
    } else if (*at == 'e' || *at == 'E') {
      return nullptr;
    } else {
      break;
    }
  }
  if (count == 0) return nullptr;
  const float magnitude = static_cast<float>(digits) / kPowersOfTen[fraction];
  value = negative ? -magnitude : magnitude;
  return at;
}

}  // namespace

std::string_view TrimBlanks(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

const char* ParseFloatPrefix(const char* begin, const char* end, float& value) {
  if (const char* const stop = ParseShortDecimal(begin, end, value)) return stop;
  const auto [stop, error] = std::from_chars(begin, end, value);
  return error == std::errc() && std::isfinite(value) ? stop : nullptr;
}

NumberError ParseFloat(std::string_view text, float& value) {
  text = WithoutPlus(text);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::invalid_argument || stop != end) return NumberError::kNotANumber;
  if (error == std::errc()) {
    return std::isfinite(value) ? NumberError::kNone : NumberError::kNotFinite;
  }
  // Out of range does not say at which end; strtod does, and takes exponents of any length.
  const double wide = std::strtod(std::string(text).c_str(), nullptr);
  if (std::fabs(wide) > static_cast<double>(std::numeric_limits<float>::max())) {
    return NumberError::kTooLarge;
  }
  value = static_cast<float>(wide);
  return NumberError::kNone;
}

std::optional<std::int64_t> ParseInteger(std::string_view text) {
  text = WithoutPlus(text);
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::string Describe(NumberError error, std::string_view text) {
  const std::string shown = "'" + Printable(text, 40) + "'";
  switch (error) {
    case NumberError::kNotFinite:
      return shown + " is not a finite number";
    case NumberError::kTooLarge:
      return shown + " is too large for float32";
    case NumberError::kNotANumber:
    case NumberError::kNone:
      break;
  }
  return shown + " is not a number";
}

}  // namespace elephas
