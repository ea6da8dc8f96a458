#include "paramserver/rest/route.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "common/protocol/protocol.h"

namespace elephas::rest {
namespace {

struct StatusRow {
  Code code;
  int status;
};
constexpr std::array<StatusRow, 10> kStatusOf{{
    {Code::kInvalid, 400},
    {Code::kUnauthorized, 401},
    {Code::kForbidden, 403},
    {Code::kNotFound, 404},
    {Code::kTimeout, 408},
    {Code::kConflict, 409},
    {Code::kExists, 409},
    {Code::kGone, 410},
    {Code::kUnavailable, 503},
    {Code::kInternal, 500},
}};

int HttpStatusOf(Code code) {
  for (const StatusRow& row : kStatusOf) {
    if (row.code == code) return row.status;
  }
  return 500;
}

// All of `text` as a number, or nothing.
template <typename Number>
std::optional<Number> Parse(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<std::optional<Incarnation>> OptionalIncarnation(const HttpRequest& request) {
  const auto text = request.header(kIncarnationHeader);
  if (!text) return std::optional<Incarnation>();
  const auto value = Parse<std::int64_t>(*text);
  if (!value || *value < 0 || *value > kMaxCount) {
    return Invalid("header " + std::string(kIncarnationHeader) + ": not a number");
  }
  return std::optional<Incarnation>(Incarnation(*value));
}

Result<Incarnation> RequiredIncarnation(const HttpRequest& request) {
  ELEPHAS_ASSIGN_OR_RETURN(const auto incarnation, OptionalIncarnation(request));
  if (!incarnation) return Invalid("header " + std::string(kIncarnationHeader) + " is missing");
  return *incarnation;
}

Result<std::int64_t> QueryInt(const HttpRequest& request, std::string_view name,
                              std::int64_t fallback) {
  const auto text = request.query(name);
  if (!text) return fallback;
  const auto value = Parse<std::int64_t>(*text);
  if (!value || *value < 0 || *value > kMaxCount) {
    return Invalid("query parameter " + std::string(name) + ": a whole number from 0 is expected");
  }
  return *value;
}

Result<bool> QueryBool(const HttpRequest& request, std::string_view name) {
  const auto text = request.query(name);
  if (!text || *text == "false") return false;
  if (*text == "true") return true;
  return Invalid("query parameter " + std::string(name) + ": true or false is expected");
}

Result<std::chrono::milliseconds> WaitFromSeconds(double seconds) {
  if (!(seconds >= 0 && seconds <= static_cast<double>(kLongestWait.count()))) {
    return Invalid("wait: between 0 and " + std::to_string(kLongestWait.count()) +
                   " seconds are expected");
  }
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

Result<std::chrono::milliseconds> QueryWait(const HttpRequest& request) {
  const auto text = request.query("wait");
  if (!text) return std::chrono::milliseconds(0);
  const auto seconds = Parse<double>(*text);
  if (!seconds) return Invalid("query parameter wait: a number of seconds is expected");
  return WaitFromSeconds(*seconds);
}

Status SkipBody(HttpRequest& request) {
  std::vector<std::byte> scratch(std::min<std::uint64_t>(request.body_left(), 1 << 20));
  while (request.body_left() > 0) {
    const auto piece =
        std::span(scratch).first(std::min<std::uint64_t>(request.body_left(), scratch.size()));
    ELEPHAS_RETURN_IF_ERROR(request.ReadBody(piece));
  }
  return OkStatus();
}

Result<std::int64_t> PathNumber(std::string_view text, std::string_view what) {
  const auto value = Parse<std::int64_t>(text);
  const bool digits = text.find_first_not_of("0123456789") == std::string_view::npos;
  if (!value || !digits || *value > kMaxCount) {
    return NotFound("there is no such " + std::string(what));
  }
  return *value;
}

Result<nlohmann::json> ReadJson(HttpRequest& request) {
  return ReadJson(request, JsonLimitsFor(request.content_length()));
}

Result<nlohmann::json> ReadJson(HttpRequest& request, const JsonLimits& limits) {
  std::string text(request.content_length(), '\0');
  if (text.empty()) return Invalid("a JSON body is expected");
  ELEPHAS_RETURN_IF_ERROR(request.ReadBody(std::as_writable_bytes(std::span(text))));
  auto json = ParseBoundedJson(text, limits);
  if (!json.ok()) return json.status().Annotate("the body");
  return json;
}

Status CheckName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  constexpr std::size_t kLongest = 128;
  if (name.empty() || name.size() > kLongest ||
      name.find_first_not_of(kAllowed) != std::string_view::npos) {
    return Invalid("a name has 1 to 128 of the characters A-Z a-z 0-9 . _ -");
  }
  return OkStatus();
}

HttpReply JsonReply(const nlohmann::json& json, int status) {
  HttpReply reply;
  reply.status = status;
  reply.content_type = kJsonType;
  // Names of weights and messages of workers may hold bytes that are not UTF-8.
  reply.body = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return reply;
}

HttpReply NoContent() {
  HttpReply reply;
  reply.status = 204;
  return reply;
}

HttpReply ErrorReply(int status, Code code, std::string_view message) {
  return JsonReply({{"error", CodeName(code)}, {"message", message}}, status);
}

HttpReply ErrorReply(const Status& status, Incarnation current) {
  nlohmann::json json{{"error", CodeName(status.code())}, {"message", status.message()}};
  if (status.code() == Code::kConflict) json["incarnation"] = current.value();
  HttpReply reply = JsonReply(json, HttpStatusOf(status.code()));
  if (status.code() == Code::kUnavailable) reply.headers.emplace_back("Retry-After", "1");
  return reply;
}

HttpReply TooLarge(std::uint64_t size, std::uint64_t limit) {
  return ErrorReply(413, Code::kInvalid,
                    "the body has " + std::to_string(size) + " bytes, at most " +
                        std::to_string(limit) + " are expected");
}

}  // namespace elephas::rest
