// Text in UTF-8 that others wrote: cut where a reader may, made whole before it goes out.
//
// Logs, container statuses and servers' answers hold any bytes. A cut in the middle of a character,
// or bytes that are no UTF-8, make JSON that no API server takes, so everything in operator/, cli/
// and common/ that shortens such text does it here.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace elephas {

// The longest beginning of at most `bytes` bytes that ends between two characters.
std::string_view Utf8Head(std::string_view text, std::size_t bytes);
// The longest end of at most `bytes` bytes that begins with a character.
std::string_view Utf8Tail(std::string_view text, std::size_t bytes);
// At most `bytes` bytes; a text that is longer ends in "..." (which needs bytes >= 3).
std::string Shortened(std::string_view text, std::size_t bytes);
// The same text with U+FFFD in place of every byte that is no UTF-8.
std::string ValidUtf8(std::string_view text);

// How JSON goes out, to a network, a file or a log: never throws for a text that is no UTF-8, but
// puts U+FFFD into it.
std::string JsonText(const nlohmann::json& value, int indent = -1);

}  // namespace elephas
