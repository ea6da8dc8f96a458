#include "common/yaml/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "common/base/ascii.h"

namespace elephas::manifest {

namespace {

using nlohmann::json;
using Kind = Resolved::Kind;

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// The words that are no text. nullopt: `text` is none of them.
std::optional<Resolved> Word(std::string_view text) {
  Resolved word;
  if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) {
    word.kind = Kind::kNull;
    return word;
  }
  word.kind = Kind::kBoolean;
  word.boolean =
      IsOneOf(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"});
  if (word.boolean ||
      IsOneOf(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
    return word;
  }
  word.kind = Kind::kFloat;
  if (IsOneOf(text, {".nan", ".NaN", ".NAN"})) {
    word.number = std::numeric_limits<double>::quiet_NaN();
  } else if (IsOneOf(text, {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"})) {
    word.number = std::numeric_limits<double>::infinity();
  } else if (IsOneOf(text, {"-.inf", "-.Inf", "-.INF"})) {
    word.number = -std::numeric_limits<double>::infinity();
  } else {
    return std::nullopt;
  }
  return word;
}

// Go's integer literals: 12, 0x1F, 0o17, 017, 0b11, with a sign.
std::optional<json> Integer(std::string_view text) {
  const bool negative = text.starts_with('-'), has_sign = negative || text.starts_with('+');
  std::string_view digits = text.substr(has_sign ? 1 : 0);
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    const char letter = static_cast<char>(digits[1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
    digits.remove_prefix(letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1);
  }
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  constexpr auto kMostPositive =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (negative) {
    if (value > kMostPositive + 1) return std::nullopt;
    return json(static_cast<std::int64_t>(0U - value));
  }
  if (value <= kMostPositive) return json(static_cast<std::int64_t>(value));
  if (has_sign) return std::nullopt;
  return json(value);
}

// [sign] digits [. digits] [e [sign] digits], with digits on at least one side of the point.
bool LooksLikeFloat(std::string_view text) {
  std::size_t i = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  const auto digits = [&] {
    const std::size_t begin = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    return i - begin;
  };
  const bool whole = digits() > 0;
  bool fraction = false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    fraction = digits() > 0;
  }
  if (!whole && !fraction) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

// Precondition: LooksLikeFloat. nullopt when it is too large; what is too small is zero.
std::optional<double> Float(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc()) return value;
  // from_chars says the same of both; the decimal exponent of the first digit tells them apart.
  const auto exponent = text.find_first_of("eE");
  const bool tiny = exponent != std::string_view::npos
                        ? text.substr(exponent + 1).starts_with('-')
                        : text.find_first_of("123456789") > std::min(text.find('.'), text.size());
  return tiny ? std::optional(0.0) : std::nullopt;
}

std::string WithoutUnderscores(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '_');
  return plain;
}

// Behind a point Go's own rule holds: an underscore stands between digits.
bool UnderscoresAreBetweenDigits(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') continue;
    if (i == 0 || i + 1 == text.size() || !IsDigit(text[i - 1]) || !IsDigit(text[i + 1])) {
      return false;
    }
  }
  return true;
}

// The shortest decimal digits of a finite number that is not zero, and the power of ten of the
// first.
template <typename Number>
std::pair<std::string, int> ShortestDigits(Number number) {
  std::array<char, 64> buffer{};
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(number),
                                     std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(written.ptr - buffer.data()));
  const auto e = text.find('e');
  std::string digits(text.substr(0, e));
  std::erase(digits, '.');
  std::string_view power = text.substr(e + 1);
  if (power.starts_with('+')) power.remove_prefix(1);
  int exponent = 0;
  std::from_chars(power.data(), power.data() + power.size(), exponent);
  return {digits, exponent};
}

// As C's %g with as many digits as needed: an exponent below -4 or above 5 is written as one.
std::string FloatKey(float number) {
  if (std::isnan(number)) return ".nan";
  if (std::isinf(number)) return number < 0 ? "-.inf" : ".inf";
  std::string out = std::signbit(number) ? "-" : "";
  if (number == 0) return out + "0";
  auto [digits, exponent] = ShortestDigits(number);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent > 5) {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    out += exponent < 0 ? "e-" : "e+";
    if (std::abs(exponent) < 10) out += "0";
    return out + std::to_string(std::abs(exponent));
  }
  if (exponent < 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-exponent - 1), '0');
    return out + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  out += digits.substr(0, whole);
  if (digits.size() > whole) out += "." + digits.substr(whole);
  return out;
}

// Digits at `at`, between `least` and `most` of them; moves `at` behind them. -1: not so.
int TakeNumber(std::string_view text, std::size_t* at, std::size_t least, std::size_t most) {
  int value = 0;
  std::size_t count = 0;
  while (count < most && *at < text.size() && IsDigit(text[*at])) {
    value = value * 10 + (text[(*at)++] - '0');
    ++count;
  }
  return count < least ? -1 : value;
}

bool Take(std::string_view text, std::size_t* at, char c) {
  if (*at >= text.size() || text[*at] != c) return false;
  ++*at;
  return true;
}

int DaysOf(int year, int month) {
  constexpr std::array kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return kDays.at(static_cast<std::size_t>(month) - 1) + (month == 2 && leap ? 1 : 0);
}

// "15:4:5", and a fraction of a second.
bool TakeTime(std::string_view text, std::size_t* at) {
  const int hour = TakeNumber(text, at, 1, 2);
  if (hour < 0 || hour > 23 || !Take(text, at, ':')) return false;
  const int minute = TakeNumber(text, at, 1, 2);
  if (minute < 0 || minute > 59 || !Take(text, at, ':')) return false;
  const int second = TakeNumber(text, at, 1, 2);
  if (second < 0 || second > 59) return false;
  if (!Take(text, at, '.') && !Take(text, at, ',')) return true;
  const std::size_t begin = *at;
  while (*at < text.size() && IsDigit(text[*at])) ++*at;
  return *at > begin;
}

bool TakeZone(std::string_view text, std::size_t* at) {
  if (Take(text, at, 'Z')) return true;
  if (!Take(text, at, '+') && !Take(text, at, '-')) return false;
  const int hours = TakeNumber(text, at, 2, 2);
  if (hours < 0 || hours > 24 || !Take(text, at, ':')) return false;
  const int minutes = TakeNumber(text, at, 2, 2);
  return minutes >= 0 && minutes <= 60;
}

}  // namespace

Resolved Resolve(std::string_view text) {
  const char first = text.empty() ? '\0' : text[0];
  Resolved resolved;
  if (auto word = Word(text)) return *std::move(word);
  std::optional<double> number;
  if (first == '.') {
    if (UnderscoresAreBetweenDigits(text)) {
      const std::string plain = WithoutUnderscores(text);
      if (LooksLikeFloat(plain)) number = Float(plain);
    }
  } else if (IsDigit(first) || first == '-' || first == '+') {
    const std::string plain = WithoutUnderscores(text);
    if (auto integer = Integer(plain)) {
      resolved.kind = Kind::kInteger;
      resolved.integer = *std::move(integer);
      return resolved;
    }
    if (LooksLikeFloat(plain)) number = Float(plain);
  }
  if (number) {
    resolved.kind = Kind::kFloat;
    resolved.number = *number;
  }
  return resolved;
}

std::optional<json> SentNumber(double number) {
  if (!std::isfinite(number)) return std::nullopt;
  if (number == 0) return json(0);
  const auto [digits, exponent] = ShortestDigits(number);
  const bool whole = static_cast<int>(digits.size()) <= exponent + 1;
  if (!whole || exponent >= 21) return json(number);
  std::string text = number < 0 ? "-" : "";
  text += digits;
  text.append(static_cast<std::size_t>(exponent) + 1 - digits.size(), '0');
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? json(value) : json(number);
}

json SentInteger(const json& integer) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (integer.is_number_unsigned() && integer.get<std::uint64_t>() > kMost) {
    return json(static_cast<double>(integer.get<std::uint64_t>()));
  }
  return integer;
}

std::optional<std::string> KeyName(std::string_view text) {
  const Resolved key = Resolve(text);
  switch (key.kind) {
    case Kind::kNull:
      return std::nullopt;
    case Kind::kBoolean:
      return key.boolean ? "true" : "false";
    case Kind::kInteger:
      if (SentInteger(key.integer).is_number_float()) return std::nullopt;
      return key.integer.dump();
    case Kind::kFloat:
      return FloatKey(static_cast<float>(key.number));
    case Kind::kText:
      break;
  }
  return std::string(text);
}

bool IsTimestamp(std::string_view text) {
  std::size_t at = 0;
  const int year = TakeNumber(text, &at, 4, 4);
  if (year < 0 || !Take(text, &at, '-')) return false;
  const int month = TakeNumber(text, &at, 1, 2);
  if (month < 1 || month > 12 || !Take(text, &at, '-')) return false;
  const int day = TakeNumber(text, &at, 1, 2);
  if (day < 1 || day > DaysOf(year, month)) return false;
  if (at == text.size()) return true;
  if (Take(text, &at, ' ')) return TakeTime(text, &at) && at == text.size();
  if (!Take(text, &at, 'T') && !Take(text, &at, 't')) return false;
  return TakeTime(text, &at) && TakeZone(text, &at) && at == text.size();
}

std::optional<std::string> FromBase64(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  std::size_t count = 0, padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    const auto value = kAlphabet.find(c);
    if (c == '=' ? count % 4 < 2 : (value == std::string_view::npos || padding > 0)) {
      return std::nullopt;
    }
    if (c == '=') ++padding;
    bits = (bits << 6U) | (c == '=' ? 0U : static_cast<std::uint32_t>(value));
    if (++count % 4 != 0) continue;
    for (std::size_t i = 0; i + padding < 3; ++i) {
      out += static_cast<char>((bits >> (16 - 8 * i)) & 0xFFU);
    }
    bits = 0;
    if (padding > 0) padding = 3;  // nothing may follow
  }
  if (count % 4 != 0 || padding > 3) return std::nullopt;
  return out;
}

}  // namespace elephas::manifest
