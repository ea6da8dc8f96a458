#include "common/http/target.h"

#include <algorithm>

namespace elephas {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded.push_back(' ');
    } else if (text[i] != '%') {
      decoded.push_back(text[i]);
    } else {
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return Invalid("a broken percent escape in the address");
      decoded.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return decoded;
}

}  // namespace

Result<HttpTarget> ParseHttpTarget(std::string_view target) {
  if (const auto scheme = target.find("://");
      scheme != std::string_view::npos && !target.starts_with('/')) {
    const auto slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const auto question = std::min(target.find('?'), target.size());
  HttpTarget parsed;
  ELEPHAS_ASSIGN_OR_RETURN(parsed.path, PercentDecode(target.substr(0, question), false));
  std::string_view query = target.substr(std::min(question + 1, target.size()));
  while (!query.empty()) {
    const auto ampersand = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, ampersand);
    query.remove_prefix(std::min(ampersand + 1, query.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    ELEPHAS_ASSIGN_OR_RETURN(auto name, PercentDecode(pair.substr(0, equals), true));
    ELEPHAS_ASSIGN_OR_RETURN(auto value,
                             PercentDecode(pair.substr(std::min(equals + 1, pair.size())), true));
    parsed.query.emplace_back(std::move(name), std::move(value));
  }
  return parsed;
}

}  // namespace elephas
