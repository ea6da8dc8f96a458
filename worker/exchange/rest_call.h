// One call of a server's REST interface with JSON both ways, and what an answer that is none means.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/result.h"
#include "common/http/client.h"
#include "common/protocol/protocol.h"

namespace elephas {

// Turns a reply that is not 2xx into the Status that the server meant.
Status StatusFromReply(const HttpResponse& response);

// `incarnation` 0: the call does not say one. `body` null: nothing is sent. The value is the reply,
// null when it is empty. Blocking, for at most `patience`.
Result<nlohmann::json> CallRest(HttpClient& http, std::string_view method, std::string_view target,
                                Incarnation incarnation, const nlohmann::json* body,
                                std::chrono::milliseconds patience);

}  // namespace elephas
