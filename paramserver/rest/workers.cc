// Workers and leases: who takes part and who does what.
#include <algorithm>

#include "common/base/log.h"
#include "common/json/reader.h"
#include "common/protocol/protocol.h"
#include "paramserver/rest/route.h"

namespace elephas::rest {
namespace {

using nlohmann::json;

Result<HttpReply> Join(WorkerService& workers, Context&, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "join");
  const std::string name = reader.String("name");
  const std::string collective = body.contains("collective") ? reader.String("collective") : "";
  const std::string why_none = body.contains("noCollective") ? reader.String("noCollective") : "";
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(name));
  if (!collective.empty()) ELEPHAS_RETURN_IF_ERROR(CheckName(collective).Annotate("'collective'"));
  ELEPHAS_ASSIGN_OR_RETURN(const JoinReply joined, workers.Join(name));
  ELEPHAS_RETURN_IF_ERROR(workers.OfferCollective(name, collective, why_none));
  LogInfo("worker joined",
          {{"worker", joined.worker}, {"incarnation", joined.incarnation.value()}});
  return JsonReply({{"worker", joined.worker},
                    {"incarnation", joined.incarnation.value()},
                    {"initialised", joined.initialised},
                    {"seed", joined.seed},
                    {"servers", joined.servers},
                    {"leaseSeconds", static_cast<double>(joined.lease_duration.count()) / 1000},
                    {"over", joined.over}});
}

Result<HttpReply> Heartbeat(WorkerService& workers, Context&, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_RETURN_IF_ERROR(CheckName(call.path_values[0]));
  ELEPHAS_RETURN_IF_ERROR(workers.Heartbeat(call.path_values[0], incarnation));
  return NoContent();
}

Result<HttpReply> Leave(WorkerService& workers, Context&, Call& call) {
  ELEPHAS_RETURN_IF_ERROR(CheckName(call.path_values[0]));
  ELEPHAS_RETURN_IF_ERROR(workers.Leave(call.path_values[0]));
  LogInfo("worker left", {{"worker", call.path_values[0]}});
  return NoContent();
}

// A word as in the reason of a Kubernetes condition: [A-Za-z][A-Za-z0-9]{0,63}
Status CheckReason(std::string_view reason) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto fits = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  if (reason.empty() || reason.size() > 64 || !is_letter(reason.front()) ||
      !std::all_of(reason.begin(), reason.end(), fits)) {
    return Invalid("'reason' is one word of at most 64 letters and digits");
  }
  return OkStatus();
}

Result<HttpReply> Fail(WorkerService& workers, Context&, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "failure");
  const std::string worker = reader.String("worker");
  const std::string reason = reader.String("reason");
  const std::string message = reader.String("message");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(worker));
  ELEPHAS_RETURN_IF_ERROR(CheckReason(reason));
  ELEPHAS_RETURN_IF_ERROR(workers.Fail(worker, reason, message));
  return NoContent();
}

Result<HttpReply> AcquireLease(WorkerService& workers, Context&, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "lease");
  const std::string worker = reader.String("worker");
  const double seconds = body.contains("wait") ? reader.Number("wait") : 0.0;
  const bool prefetch = body.contains("prefetch") && reader.Bool("prefetch");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(worker));
  ELEPHAS_ASSIGN_OR_RETURN(const auto wait, WaitFromSeconds(seconds));
  ELEPHAS_ASSIGN_OR_RETURN(const LeaseReply reply,
                           workers.AcquireLease(worker, incarnation, wait, prefetch));
  switch (reply.state) {
    case LeaseReply::State::kLeased:
      return JsonReply({{"state", "leased"}, {"lease", ToJson(*reply.lease)}});
    case LeaseReply::State::kWait:
      return JsonReply({{"state", "wait"}});
    case LeaseReply::State::kSucceeded:
      return JsonReply({{"state", "succeeded"}});
    case LeaseReply::State::kGroup:
      return JsonReply({{"state", "group"}});
    case LeaseReply::State::kFailed:
      return JsonReply({{"state", "failed"}, {"message", reply.message}});
  }
  return Internal("a lease reply of no known state");
}

Result<std::vector<std::string>> StringsFrom(const json& array, std::string_view name) {
  const Status wrong = Invalid("'" + std::string(name) + "' must be an array of strings");
  if (!array.is_array()) return wrong;
  std::vector<std::string> strings;
  for (const json& entry : array) {
    if (!entry.is_string()) return wrong;
    strings.push_back(entry.get<std::string>());
  }
  return strings;
}

Result<HttpReply> FinishTask(WorkerService& workers, Context&, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t lease, PathNumber(call.path_values[0], "lease"));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "finish");
  TaskId task;
  const auto kind = WorkKindFromWord(reader.String("task"));
  task.epoch = Epoch(reader.Int("epoch", 0, kMaxCount));
  task.partition = Partition(reader.Int("partition", 0, kMaxCount));
  const std::int64_t examples = reader.Int("examples", 0, kMaxCount);
  const json& sums = reader.Any("metrics");
  const json outputs_json = body.contains("outputs") ? reader.Any("outputs") : json::array();
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  if (!kind.ok()) return kind.status();
  task.kind = *kind;
  ELEPHAS_ASSIGN_OR_RETURN(const MetricSums metrics, MetricSumsFromJson(sums));
  ELEPHAS_ASSIGN_OR_RETURN(const auto outputs, StringsFrom(outputs_json, "outputs"));
  ELEPHAS_ASSIGN_OR_RETURN(
      const UpdateOutcome outcome,
      workers.FinishTask(LeaseId(lease), incarnation, task, examples, metrics, outputs));
  return JsonReply({{"outcome", Word(outcome)}});
}

}  // namespace

std::vector<Route> WorkerRoutes(WorkerService& workers) {
  constexpr std::uint64_t kMegabyte = 1 << 20;  // a long `fit` job's metrics of every epoch
  return {
      Route{"POST", "/v1/workers", With(workers, Join), Body::kJson},
      Route{"PUT", "/v1/workers/{worker}/heartbeat", With(workers, Heartbeat)},
      Route{"DELETE", "/v1/workers/{worker}", With(workers, Leave)},
      Route{"POST", "/v1/failure", With(workers, Fail), Body::kJson},
      Route{"POST", "/v1/leases", With(workers, AcquireLease), Body::kJson},
      Route{"POST",
            "/v1/leases/{lease}/finish",
            With(workers, FinishTask),
            Body::kJson,
            {},
            kMegabyte},
  };
}

}  // namespace elephas::rest
