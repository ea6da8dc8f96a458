// The forms that replies have on all of our servers.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "common/base/result.h"
#include "common/http/server.h"

namespace elephas {

// Text that is not UTF-8 (names of weights, messages of workers) is sent with U+FFFD in its place.
HttpReply JsonReply(const nlohmann::json& json, int status = 200);

// {"error": the code's name, "message"}; docs/openapi.yaml, Error. With 503 goes "Retry-After: 1".
HttpReply ErrorReply(int status, Code code, std::string_view message);

}  // namespace elephas
