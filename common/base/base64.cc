#include "common/base/base64.h"

#include <cstdint>

namespace elephas::kube {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8U | (at + i < bytes.size() ? static_cast<std::uint8_t>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint32_t digit = group >> (18 - 6 * i) & 63U;
      text += at + i <= bytes.size() ? kAlphabet[digit] : '=';
    }
  }
  return text;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  std::size_t digits = 0, padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    const std::size_t digit = kAlphabet.find(c);
    if (c == '=') {
      ++padding;
      group <<= 6U;
    } else if (digit != std::string_view::npos && padding == 0) {
      group = group << 6U | static_cast<std::uint32_t>(digit);
    } else {
      return std::nullopt;
    }
    if (++digits % 4 != 0) continue;
    if (padding > 2) return std::nullopt;
    for (std::size_t i = 0; i + padding < 3; ++i) {
      bytes += static_cast<char>(group >> (16 - 8 * i) & 255U);
    }
    group = 0;
  }
  if (digits % 4 != 0) return std::nullopt;
  return bytes;
}

}  // namespace elephas::kube
