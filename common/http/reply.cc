#include "common/http/reply.h"

#include <nlohmann/json.hpp>

namespace elephas {

HttpReply JsonReply(const nlohmann::json& json, int status) {
  HttpReply reply;
  reply.status = status;
  reply.content_type = "application/json";
  reply.body = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return reply;
}

HttpReply ErrorReply(int status, Code code, std::string_view message) {
  HttpReply reply = JsonReply({{"error", CodeName(code)}, {"message", message}}, status);
  if (status == 503) reply.headers.emplace_back("Retry-After", "1");
  return reply;
}

}  // namespace elephas
