#include "common/base/utf8.h"

#include <algorithm>

namespace elephas {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

// How many bytes the character at the front has; 0 when it is none (RFC 3629: no surrogates, none
// longer than it must be, none above U+10FFFF).
std::size_t CharacterLength(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!Continues(text[i])) return 0;
  }
  const unsigned char second = byte(1);
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return length;
}

}  // namespace

std::string_view Utf8Head(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  // A character has at most four bytes; what goes on for longer is no UTF-8 and is cut anywhere.
  std::size_t end = bytes;
  while (end > 0 && bytes - end < 3 && Continues(text[end])) --end;
  return text.substr(0, Continues(text[end]) ? bytes : end);
}

std::string_view Utf8Tail(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  std::size_t begin = text.size() - bytes;
  const std::size_t last = std::min(begin + 3, text.size());
  while (begin < last && Continues(text[begin])) ++begin;
  return text.substr(begin);
}

std::string Shortened(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  return std::string(Utf8Head(text, bytes - 3)).append("...");
}

std::string ValidUtf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = CharacterLength(text);
    out.append(length == 0 ? kReplacement : text.substr(0, length));
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string JsonText(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace elephas
