// The page at /: paramserver/rest/page/index.html, built into the program.
#pragma once

#include <string_view>

namespace elephas {

extern const std::string_view kStatusPage;
// Its Content-Security-Policy: its own style and script by their hashes, requests to its own
// server.
extern const std::string_view kStatusPagePolicy;

}  // namespace elephas
