// Text out of files, made fit for messages: messages travel as JSON and end on terminals.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace elephas {

// `text` as valid UTF-8 without control characters ('?' in place of what is not), cut after `limit`
// bytes with "…".
std::string Printable(std::string_view text, std::size_t limit = 60);

}  // namespace elephas
