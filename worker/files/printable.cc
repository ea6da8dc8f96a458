#include "worker/files/printable.h"

#include <algorithm>

#include "common/base/terminal_text.h"

namespace elephas {

std::string Printable(std::string_view text, std::size_t limit) {
  std::string out = TerminalText(text.substr(0, limit + 1), '?');
  std::replace(out.begin(), out.end(), '\n', '?');
  if (out.size() <= limit && text.size() <= limit) return out;
  std::size_t end = std::min(out.size(), limit);
  // Not in the middle of a character.
  while (end > 0 && end < out.size() && (static_cast<unsigned char>(out[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  out.resize(end);
  return out + "…";
}

}  // namespace elephas
