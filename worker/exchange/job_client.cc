#include "worker/exchange/job_client.h"

#include <utility>

#include "common/json/reader.h"
#include "worker/exchange/rest_call.h"

namespace elephas {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// Far longer than any call takes that is not waiting on purpose.
constexpr milliseconds kPatience{30000};

}  // namespace

JobClient::JobClient(std::string base_url, std::string token)
    : http_({.base_url = std::move(base_url), .token = std::move(token)}) {}

Result<json> JobClient::Call(std::string_view method, std::string_view target,
                             Incarnation incarnation, const json* body, milliseconds extra_wait) {
  return CallRest(http_, method, target, incarnation, body, kPatience + extra_wait);
}

Result<json> JobClient::Job() { return Call("GET", "/v1/job", Incarnation(0), nullptr); }

Result<JoinReply> JobClient::Join(const std::string& name, const Offer& offer) {
  json body{{"name", name}};
  if (!offer.collective.empty()) body["collective"] = offer.collective;
  if (!offer.why_none.empty()) body["noCollective"] = offer.why_none;
  ELEPHAS_ASSIGN_OR_RETURN(const json reply, Call("POST", "/v1/workers", Incarnation(0), &body));
  JsonReader reader(reply, "join reply");
  JoinReply joined;
  joined.worker = reader.String("worker");
  joined.incarnation = Incarnation(reader.Int("incarnation", 1));
  joined.initialised = reader.Bool("initialised");
  joined.seed = static_cast<std::uint64_t>(reader.Int("seed", 0));
  joined.lease_duration =
      milliseconds(static_cast<std::int64_t>(reader.Number("leaseSeconds") * 1000));
  joined.over = reader.Bool("over");
  const json& servers = reader.Any("servers");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  for (const json& server : servers) {
    if (!server.is_string()) return Invalid("join reply: 'servers' must hold addresses");
    joined.servers.push_back(server.get<std::string>());
  }
  if (joined.servers.empty()) return Invalid("join reply: 'servers' is empty");
  return joined;
}

Status JobClient::Heartbeat(const std::string& worker, Incarnation incarnation) {
  return Call("PUT", "/v1/workers/" + worker + "/heartbeat", incarnation, nullptr).status();
}

Status JobClient::Leave(const std::string& worker) {
  return Call("DELETE", "/v1/workers/" + worker, Incarnation(0), nullptr).status();
}

Status JobClient::Fail(const std::string& worker, const std::string& reason,
                       const std::string& message) {
  const json body{{"worker", worker}, {"reason", reason}, {"message", message}};
  return Call("POST", "/v1/failure", Incarnation(0), &body).status();
}

Status JobClient::SetLayout(Incarnation incarnation, const ModelLayout& layout) {
  const json body = ToJson(layout);
  return Call("PUT", "/v1/layout", incarnation, &body).status();
}

Result<LeaseReply> JobClient::AcquireLease(const std::string& worker, Incarnation incarnation,
                                           milliseconds wait, bool prefetch) {
  const json body{{"worker", worker},
                  {"wait", static_cast<double>(wait.count()) / 1000},
                  {"prefetch", prefetch}};
  ELEPHAS_ASSIGN_OR_RETURN(const json reply, Call("POST", "/v1/leases", incarnation, &body, wait));
  JsonReader reader(reply, "lease reply");
  const std::string state = reader.String("state");
  LeaseReply answer;
  if (state == "leased") {
    answer.state = LeaseReply::State::kLeased;
    ELEPHAS_ASSIGN_OR_RETURN(answer.lease, LeaseFromJson(reader.Any("lease")));
  } else if (state == "succeeded") {
    answer.state = LeaseReply::State::kSucceeded;
  } else if (state == "failed") {
    answer.state = LeaseReply::State::kFailed;
    answer.message = reader.String("message");
  } else if (state == "group") {
    answer.state = LeaseReply::State::kGroup;
  } else if (state != "wait") {
    reader.Fail("unknown state '" + state + "'");
  }
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return answer;
}

Result<UpdateOutcome> JobClient::Finish(const Lease& lease, std::int64_t examples,
                                        const MetricSums& metrics,
                                        const std::vector<std::string>& outputs) {
  const json body{{"task", Word(lease.task.kind)},
                  {"epoch", lease.task.epoch.value()},
                  {"partition", lease.task.partition.value()},
                  {"examples", examples},
                  {"metrics", ToJson(metrics)},
                  {"outputs", outputs}};
  const std::string target = "/v1/leases/" + std::to_string(lease.id.value()) + "/finish";
  ELEPHAS_ASSIGN_OR_RETURN(const json reply, Call("POST", target, lease.incarnation, &body));
  JsonReader reader(reply, "finish reply");
  const std::string outcome = reader.String("outcome");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return outcome == "duplicate" ? UpdateOutcome::kDuplicate : UpdateOutcome::kApplied;
}

Result<json> JobClient::History() { return Call("GET", "/v1/history", Incarnation(0), nullptr); }
Result<json> JobClient::JobStatus() { return Call("GET", "/v1/status", Incarnation(0), nullptr); }

}  // namespace elephas
