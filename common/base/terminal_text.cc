#include "common/base/terminal_text.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace elephas {

namespace {

struct Character {
  std::uint32_t point = 0;
  std::size_t bytes = 0;  // 0: not UTF-8 (broken, overlong, a surrogate or beyond U+10FFFF)
};

// Precondition: `text` is not empty.
Character First(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  std::uint32_t point = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return {};
    point = (point << 6) | (next & 0x3FU);
  }
  const bool overlong = (bytes == 3 && point < 0x800) || (bytes == 4 && point < 0x10000);
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (overlong || surrogate || point > 0x10FFFF) return {};
  return {point, bytes};
}

bool Between(std::uint32_t point, std::uint32_t first, std::uint32_t last) {
  return point >= first && point <= last;
}

bool MovesTheTerminal(std::uint32_t point) {
  return point < 0x20 || Between(point, 0x7F, 0x9F) ||
         Between(point, 0x2028, 0x202E) ||  // separators of lines, embedding and overriding
         Between(point, 0x2066, 0x2069) ||  // isolating
         point == 0x200E || point == 0x200F || point == 0x061C || point == 0xFEFF;
}

}  // namespace

std::string TerminalText(std::string_view text, char substitute) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character one = First(text);
    const bool fit = one.bytes > 0 && (one.point == '\n' || !MovesTheTerminal(one.point));
    const std::size_t bytes = one.bytes == 0 ? 1 : one.bytes;
    if (fit) {
      out.append(text.substr(0, bytes));
    } else {
      out.push_back(substitute);
    }
    text.remove_prefix(bytes);
  }
  return out;
}

std::string TerminalJson(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const Character one = First(json);
    const std::size_t bytes = one.bytes == 0 ? 1 : one.bytes;
    // Below U+0020 there are only the blanks between its tokens.
    if (one.point >= 0x20 && MovesTheTerminal(one.point)) {
      std::array<char, 16> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(one.point));
      out.append(escape.data());
    } else {
      out.append(json.substr(0, bytes));
    }
    json.remove_prefix(bytes);
  }
  return out;
}

}  // namespace elephas
