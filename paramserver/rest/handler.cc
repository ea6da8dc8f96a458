#include "paramserver/rest/handler.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "paramserver/rest/rest_metrics.h"
#include "paramserver/rest/route.h"

namespace elephas {
namespace {

using rest::Body;
using rest::Call;
using rest::Context;
using rest::Route;

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    const auto slash = std::min(path.find('/', 1), path.size());
    segments.push_back(path.substr(0, slash));  // with its leading '/'
    path.remove_prefix(slash);
  }
  return segments;
}

// The values of the pattern's "{…}", or nothing when the path is another one.
std::optional<std::vector<std::string>> Match(std::string_view pattern, std::string_view path) {
  const auto wanted = Segments(pattern);
  const auto given = Segments(path);
  if (wanted.size() != given.size()) return std::nullopt;
  std::vector<std::string> values;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].starts_with("/{")) {
      values.emplace_back(given[i].substr(1));
    } else if (wanted[i] != given[i]) {
      return std::nullopt;
    }
  }
  return values;
}

// Takes the same time wherever the two differ, so that a guess learns nothing.
bool SameSecret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const char c = i < given.size() ? given[i] : '\0';
    difference |= static_cast<unsigned char>(c) ^ static_cast<unsigned char>(secret[i]);
  }
  return difference == 0;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

bool Authorized(const HttpRequest& request, std::string_view token) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto header = request.header("Authorization");
  if (!header || header->size() < kScheme.size() || token.empty()) return false;
  return EqualsIgnoringCase(header->substr(0, kScheme.size()), kScheme) &&
         SameSecret(header->substr(kScheme.size()), token);
}

// The media type without its parameters; a missing one counts as the expected one.
bool HasType(const HttpRequest& request, std::string_view expected) {
  const auto header = request.header("Content-Type");
  if (!header) return true;
  std::string_view type = header->substr(0, std::min(header->find(';'), header->size()));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return EqualsIgnoringCase(type, expected);
}

std::uint64_t ReplyBytes(const HttpReply& reply) {
  std::uint64_t bytes = reply.body.size();
  for (const auto& piece : reply.tail) bytes += piece.size();
  return bytes;
}

}  // namespace

struct RestHandler::Impl {
  JobService& service;
  RestOptions options;
  rest::RestMetrics metrics;
  std::vector<Route> routes;

  Impl(JobService& job_service, RestOptions rest_options)
      : service(job_service), options(std::move(rest_options)) {
    for (const auto& group : {rest::WorkerRoutes(service), rest::ParameterRoutes(service),
                              rest::UpdateRoutes(service, service), rest::GroupRoutes(service),
                              rest::PeerRoutes(service), rest::WatchRoutes(service)}) {
      routes.insert(routes.end(), group.begin(), group.end());
    }
  }

  HttpReply Answer(HttpRequest& request, std::string_view& route_path);
  HttpReply Run(const Route& route, Call& call);
  static std::optional<HttpReply> CheckQuery(const Route& route, const HttpRequest& request);
  static std::optional<HttpReply> CheckBody(const Route& route, const HttpRequest& request);
};

HttpReply RestHandler::Impl::Answer(HttpRequest& request, std::string_view& route_path) {
  const std::string_view path = request.path();
  if ((path == "/v1" || path.starts_with("/v1/")) && !Authorized(request, options.token)) {
    HttpReply reply =
        rest::ErrorReply(401, Code::kUnauthorized, "the job's bearer token is missing or wrong");
    reply.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"elephas\"");
    return reply;
  }
  // HEAD is GET whose body the server leaves out.
  const std::string_view method = request.method() == "HEAD" ? "GET" : request.method();
  std::string allowed;
  for (const Route& route : routes) {
    auto values = Match(route.path, path);
    if (!values) continue;
    route_path = route.path;
    if (route.method == method) {
      Call call{request, std::move(*values)};
      return Run(route, call);
    }
    if (!allowed.empty()) allowed += ", ";
    allowed.append(route.method == "GET" ? "GET, HEAD" : route.method);
  }
  if (allowed.empty()) return rest::ErrorReply(404, Code::kNotFound, "there is no such path");
  HttpReply reply = rest::ErrorReply(405, Code::kInvalid, "the path allows only " + allowed);
  reply.headers.emplace_back("Allow", allowed);
  return reply;
}

std::optional<HttpReply> RestHandler::Impl::CheckQuery(const Route& route,
                                                       const HttpRequest& request) {
  std::vector<std::string> names = request.query_names();
  for (const std::string& name : names) {
    if (std::find(route.query.begin(), route.query.end(), name) == route.query.end()) {
      return rest::ErrorReply(400, Code::kInvalid, "unknown query parameter '" + name + "'");
    }
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
    return rest::ErrorReply(400, Code::kInvalid, "query parameter '" + *twice + "' appears twice");
  }
  return std::nullopt;
}

std::optional<HttpReply> RestHandler::Impl::CheckBody(const Route& route,
                                                      const HttpRequest& request) {
  if (route.body == Body::kNone) return std::nullopt;
  const std::string_view type = route.body == Body::kJson ? rest::kJsonType : rest::kTensorType;
  if (!HasType(request, type)) {
    return rest::ErrorReply(415, Code::kInvalid, "Content-Type must be " + std::string(type));
  }
  if (route.body == Body::kJson && request.content_length() > route.max_json) {
    return rest::TooLarge(request.content_length(), route.max_json);
  }
  return std::nullopt;
}

HttpReply RestHandler::Impl::Run(const Route& route, Call& call) {
  if (auto refusal = CheckQuery(route, call.request)) return std::move(*refusal);
  if (auto refusal = CheckBody(route, call.request)) return std::move(*refusal);
  Context context{service, options, metrics};
  auto reply = route.run(context, call);
  if (reply.ok()) return std::move(reply).value();
  const Status status = reply.status();
  if (status.code() == Code::kInternal) {
    LogError("request failed",
             {{"method", route.method}, {"route", route.path}, {"message", status.message()}});
  } else {
    LogDebug("request refused", {{"method", route.method},
                                 {"route", route.path},
                                 {"error", CodeName(status.code())},
                                 {"message", status.message()}});
  }
  return rest::ErrorReply(status, service.CurrentIncarnation());
}

RestHandler::RestHandler(JobService& service, RestOptions options)
    : impl_(std::make_unique<Impl>(service, std::move(options))) {}
RestHandler::~RestHandler() = default;

HttpReply RestHandler::Handle(HttpRequest& request) {
  const auto start = std::chrono::steady_clock::now();
  impl_->metrics.Begin();
  std::string_view route;
  HttpReply reply = impl_->Answer(request, route);
  impl_->metrics.Count(request.method(), route, reply.status, request.content_length(),
                       ReplyBytes(reply), std::chrono::steady_clock::now() - start);
  return reply;
}

}  // namespace elephas
