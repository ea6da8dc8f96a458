// JSON that a stranger wrote: looked at before it becomes objects in memory.
//
// One byte of JSON text can become fifty bytes of objects, and a text of brackets alone makes every
// function that follows the nesting run out of stack. So a text is first read without keeping any
// of it, and only one that stays within its bounds is parsed. Where a text as a whole is too large,
// its members and entries can be cut out as text and parsed one by one.
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/result.h"

namespace elephas {

struct JsonBounds {
  std::size_t bytes = std::size_t{64} << 10;
  std::size_t depth = 32;      // of lists and mappings in each other
  std::size_t nodes = 10'000;  // values, keys included
};

// kInvalid: it is not JSON, or goes beyond a bound; the message says which. Never throws, and takes
// no more memory than a text within the bounds does.
Result<nlohmann::json> ParseBounded(std::string_view text, const JsonBounds& bounds);

// Called with each member of the mapping (an entry's key is "") as it stands in the text, blanks
// around it left out. An error ends the walk and is what the walk answers.
using JsonPiece = std::function<Status(std::string_view key, std::string_view value)>;
// Walk over the members of a mapping or the entries of a list, without looking into them: what they
// hold need not be valid. kInvalid: the text is no such thing. Keys come without their quotes, and
// with their escapes as they are.
Status ForEachMember(std::string_view mapping, const JsonPiece& piece);
Status ForEachEntry(std::string_view list, const JsonPiece& piece);

}  // namespace elephas
