// quantity = number [suffix]
// number   = ["+" | "-"] (digits ["." [digits]] | "." digits)
// suffix   = "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei"                    powers of 1024
//          | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E"        powers of 1000
//          | ("e" | "E") ["+" | "-"] digits                             powers of 10
#include "operator/state/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "common/base/ascii.h"

namespace elephas {

namespace {

struct Suffix {
  std::string_view text;
  double factor;
};
constexpr std::array kSuffixes{
    Suffix{"", 1},
    Suffix{"n", 1e-9},
    Suffix{"u", 1e-6},
    Suffix{"m", 1e-3},
    Suffix{"k", 1e3},
    Suffix{"M", 1e6},
    Suffix{"G", 1e9},
    Suffix{"T", 1e12},
    Suffix{"P", 1e15},
    Suffix{"E", 1e18},
    Suffix{"Ki", 1024.0},
    Suffix{"Mi", 1024.0 * 1024},
    Suffix{"Gi", 1024.0 * 1024 * 1024},
    Suffix{"Ti", 1024.0 * 1024 * 1024 * 1024},
    Suffix{"Pi", 1024.0 * 1024 * 1024 * 1024 * 1024},
    Suffix{"Ei", 1024.0 * 1024 * 1024 * 1024 * 1024 * 1024},
};
// More digits than any amount has; the exponent's bound keeps the result finite.
constexpr std::size_t kLongest = 64;
constexpr int kLargestExponent = 200;

// The power of ten after "e" or "E"; nullopt when it is none.
std::optional<double> Exponent(std::string_view text) {
  if (text.size() < 2 || (text.front() != 'e' && text.front() != 'E')) return std::nullopt;
  text.remove_prefix(1);
  if (text.front() == '+') text.remove_prefix(1);
  int power = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), power);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (std::abs(power) > kLargestExponent) return std::nullopt;
  return std::pow(10.0, power);
}

std::optional<double> Factor(std::string_view suffix) {
  const auto* found = std::find_if(kSuffixes.begin(), kSuffixes.end(),
                                   [&](const Suffix& known) { return known.text == suffix; });
  return found != kSuffixes.end() ? std::optional(found->factor) : Exponent(suffix);
}

}  // namespace

std::optional<double> ParseQuantity(std::string_view text) {
  if (text.size() > kLongest) return std::nullopt;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  std::size_t length = 0, digits = 0, dots = 0;
  while (length < text.size() && (IsDigit(text[length]) || text[length] == '.')) {
    ++(text[length] == '.' ? dots : digits);
    ++length;
  }
  if (digits == 0 || dots > 1) return std::nullopt;
  const auto factor = Factor(text.substr(length));
  if (!factor) return std::nullopt;
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + length, value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + length) return std::nullopt;
  return (negative ? -value : value) * *factor;
}

std::optional<double> QuantityOf(const nlohmann::json& value) {
  if (value.is_number()) return value.get<double>();
  return value.is_string() ? ParseQuantity(value.get_ref<const std::string&>()) : std::nullopt;
}

}  // namespace elephas
