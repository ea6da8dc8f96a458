// The request target of HTTP: "/v1/parameters?minVersion=3" into its decoded parts.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace elephas {

struct HttpTarget {
  std::string path;                                        // percent-decoded
  std::vector<std::pair<std::string, std::string>> query;  // percent-decoded, in order
};

// Takes the origin form and the absolute form ("http://host/path"). kInvalid for a broken percent
// escape. The authority and asterisk forms (CONNECT, OPTIONS *) are taken as a path that no route
// has.
Result<HttpTarget> ParseHttpTarget(std::string_view target);

}  // namespace elephas
