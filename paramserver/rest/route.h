// What the groups of routes share: the table's row, the request's typed parts, and the replies.
// A group of routes takes the role of the job that it speaks to, and sees no other.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/http/server.h"
#include "common/json/bounded_json.h"
#include "paramserver/job/group_service.h"
#include "paramserver/job/job_basics.h"
#include "paramserver/job/parameter_service.h"
#include "paramserver/job/peer_service.h"
#include "paramserver/job/update_service.h"
#include "paramserver/job/watch_service.h"
#include "paramserver/job/worker_service.h"
#include "paramserver/rest/handler.h"

namespace elephas::rest {

class RestMetrics;

inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kTensorType = "application/octet-stream";
inline constexpr std::string_view kIncarnationHeader = "Elephas-Incarnation";
inline constexpr std::chrono::seconds kLongestWait{60};

struct Context {
  JobBasics& job;
  const RestOptions& options;
  RestMetrics& metrics;
};

struct Call {
  HttpRequest& request;
  std::vector<std::string> path_values;  // what stood for the "{…}" of the route, in order
};

enum class Body : std::uint8_t { kNone, kJson, kTensors };

struct Route {
  std::string_view method;
  std::string_view path;  // "{…}" stands for one segment
  // An error becomes the reply of its code.
  std::function<Result<HttpReply>(Context&, Call&)> run;
  Body body = Body::kNone;
  std::vector<std::string_view> query = {};  // parameters that it takes
  std::uint64_t max_json = 65536;
};

// A handler that needs `role`, which must outlive the route.
template <typename Role>
auto With(Role& role, Result<HttpReply> (*run)(Role&, Context&, Call&)) {
  return [&role, run](Context& context, Call& call) { return run(role, context, call); };
}

// The groups; each lives in <group>.cc. The roles must outlive the routes.
std::vector<Route> WorkerRoutes(WorkerService& workers);
std::vector<Route> ParameterRoutes(ParameterService& parameters);
// `parameters`: a push may ask for them in its reply.
std::vector<Route> UpdateRoutes(UpdateService& updates, ParameterService& parameters);
std::vector<Route> GroupRoutes(GroupService& group);
std::vector<Route> PeerRoutes(PeerService& peers);
std::vector<Route> WatchRoutes(WatchService& watched);

// --- the request's parts: kInvalid names what is wrong ---
// The incarnation that the request belongs to; nullopt when it names none.
Result<std::optional<Incarnation>> OptionalIncarnation(const HttpRequest& request);
Result<Incarnation> RequiredIncarnation(const HttpRequest& request);
Result<std::int64_t> QueryInt(const HttpRequest& request, std::string_view name,
                              std::int64_t fallback);
Result<bool> QueryBool(const HttpRequest& request, std::string_view name);
// Seconds, a fraction allowed, from 0 to kLongestWait; 0 when left out.
Result<std::chrono::milliseconds> QueryWait(const HttpRequest& request);
Result<std::chrono::milliseconds> WaitFromSeconds(double seconds);
// A number that stands in the path; kNotFound("there is no such …") for anything else.
Result<std::int64_t> PathNumber(std::string_view text, std::string_view what);
// A repeat changes nothing, but its sender may write all of it before it reads a reply.
Status SkipBody(HttpRequest& request);
// The body of a route with Body::kJson, whose size the handler has checked; within JsonLimitsFor()
// of its length, or these.
Result<nlohmann::json> ReadJson(HttpRequest& request);
Result<nlohmann::json> ReadJson(HttpRequest& request, const JsonLimits& limits);
// Names of workers stand in paths and logs: 1 to 128 of A-Z a-z 0-9 . _ -
Status CheckName(std::string_view name);

// --- replies ---
HttpReply JsonReply(const nlohmann::json& json, int status = 200);
HttpReply NoContent();
// `code` is one of CodeName().
HttpReply ErrorReply(int status, Code code, std::string_view message);
// By the table from Code to HTTP status; a conflict carries the current incarnation.
HttpReply ErrorReply(const Status& status, Incarnation current);
HttpReply TooLarge(std::uint64_t size, std::uint64_t limit);

}  // namespace elephas::rest
