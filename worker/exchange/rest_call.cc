#include "worker/exchange/rest_call.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/json/bounded_json.h"

namespace elephas {

namespace {

using nlohmann::json;

Code CodeFromHttp(int status) {
  switch (status) {
    case 401:
      return Code::kUnauthorized;
    case 404:
      return Code::kNotFound;
    case 408:
    case 504:
      return Code::kTimeout;
    case 409:
      return Code::kConflict;
    case 503:
      return Code::kUnavailable;
    default:
      return status >= 500 ? Code::kInternal : Code::kInvalid;
  }
}

}  // namespace

Status StatusFromReply(const HttpResponse& response) {
  std::string message = "HTTP " + std::to_string(response.status);
  const auto body = ParseBoundedJson(response.body);  // a message is short, or it is none of ours
  if (body.ok() && body->is_object()) {
    const auto told = body->find("message");
    if (told != body->end() && told->is_string()) message = told->get<std::string>();
  }
  return {CodeFromHttp(response.status), std::move(message)};
}

Result<json> CallRest(HttpClient& http, std::string_view method, std::string_view target,
                      Incarnation incarnation, const json* body,
                      std::chrono::milliseconds patience) {
  std::vector<std::pair<std::string, std::string>> headers;
  if (incarnation != Incarnation(0)) {
    headers.emplace_back("Elephas-Incarnation", std::to_string(incarnation.value()));
  }
  std::string text;
  std::vector<std::span<const std::byte>> pieces;
  if (body != nullptr) {
    // A message may quote bytes of a user's file that are no UTF-8.
    text = body->dump(-1, ' ', false, json::error_handler_t::replace);
    headers.emplace_back("Content-Type", "application/json");
    pieces.push_back(std::as_bytes(std::span(text)));
  }
  ELEPHAS_ASSIGN_OR_RETURN(const HttpResponse response,
                           http.Send(method, target, headers, pieces, patience));
  if (response.status < 200 || response.status > 299) return StatusFromReply(response);
  if (response.body.empty()) return json();
  auto reply = ParseBoundedJson(response.body, JsonLimitsFor(response.body.size()));
  if (!reply.ok()) return reply.status().Annotate(std::string(target) + ": the reply");
  return reply;
}

}  // namespace elephas
