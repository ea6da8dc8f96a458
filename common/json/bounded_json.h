// JSON from somebody who is not trusted: a request's body, a server's answer, a file of a user.
//
// A parsed value takes up to a hundred times the bytes of its text (16 MiB of "[" become more than
// a gigabyte), so a limit of the text alone bounds nothing. This parser counts what it builds and
// stops at the first value too many, before it is built.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/result.h"

namespace elephas {

// The defaults are for the small messages of the protocol.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{1} << 20;  // of the text
  std::size_t max_depth = 64;                    // "[[1]]" is 2 deep, "1" is 0
  std::size_t max_nodes = 100'000;               // values, containers and what is in them alike
  bool unique_keys = false;                      // otherwise the last of two equal keys counts
};

// Of a message that may have `max_bytes`: four bytes for each value are fewer than our programs
// write ({"loss":0.25} has two in thirteen), and a hostile text takes about sixteen times its length
// at most.
JsonLimits JsonLimitsFor(std::size_t max_bytes);

// What a value of so many nodes takes in memory is below this many bytes each, beside the bytes of
// its strings: an entry of an object with its key, the largest of them.
inline constexpr std::size_t kJsonNodeBytes = 128;

// kInvalid: the text is not JSON (invalid UTF-8 included), or it is beyond a limit; the message
// tells which, and at which byte. Never throws but for memory.
Result<nlohmann::json> ParseBoundedJson(std::string_view text, const JsonLimits& limits = {});

}  // namespace elephas
