// Workers, leases and peers: who takes part and who does what.
#include <algorithm>
#include <array>

#include "common/base/log.h"
#include "common/json/reader.h"
#include "common/protocol/protocol.h"
#include "paramserver/rest/route.h"

namespace elephas::rest {
namespace {

using nlohmann::json;

Result<HttpReply> GetJob(Context& context, Call&) {
  const json status = context.service.StatusJson();
  return JsonReply({{"uid", status.value("uid", context.options.uid)},
                    {"server", context.options.server_index},
                    {"servers", context.service.spec().parameter_servers.replicas},
                    {"incarnation", context.service.CurrentIncarnation().value()},
                    {"manifest", context.options.manifest}});
}

Result<HttpReply> Join(Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "join");
  const std::string name = reader.String("name");
  const std::string collective = body.contains("collective") ? reader.String("collective") : "";
  const std::string why_none = body.contains("noCollective") ? reader.String("noCollective") : "";
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(name));
  if (!collective.empty()) ELEPHAS_RETURN_IF_ERROR(CheckName(collective).Annotate("'collective'"));
  ELEPHAS_ASSIGN_OR_RETURN(const JoinReply joined, context.service.Join(name));
  ELEPHAS_RETURN_IF_ERROR(context.service.OfferCollective(name, collective, why_none));
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

Result<HttpReply> Heartbeat(Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_RETURN_IF_ERROR(CheckName(call.path_values[0]));
  ELEPHAS_RETURN_IF_ERROR(context.service.Heartbeat(call.path_values[0], incarnation));
  return NoContent();
}

Result<HttpReply> Leave(Context& context, Call& call) {
  ELEPHAS_RETURN_IF_ERROR(CheckName(call.path_values[0]));
  ELEPHAS_RETURN_IF_ERROR(context.service.Leave(call.path_values[0]));
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

Result<HttpReply> Fail(Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "failure");
  const std::string worker = reader.String("worker");
  const std::string reason = reader.String("reason");
  const std::string message = reader.String("message");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(worker));
  ELEPHAS_RETURN_IF_ERROR(CheckReason(reason));
  ELEPHAS_RETURN_IF_ERROR(context.service.Fail(worker, reason, message));
  return NoContent();
}

Result<HttpReply> AcquireLease(Context& context, Call& call) {
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
                           context.service.AcquireLease(worker, incarnation, wait, prefetch));
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

Result<HttpReply> FinishTask(Context& context, Call& call) {
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
      context.service.FinishTask(LeaseId(lease), incarnation, task, examples, metrics, outputs));
  return JsonReply({{"outcome", Word(outcome)}});
}

Status CheckUrl(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-";
  const std::string_view authority = url.substr(std::min(url.size(), kScheme.size()));
  if (!url.starts_with(kScheme) || authority.empty() || authority.size() > 255 ||
      authority.find_first_not_of(kAllowed) != std::string_view::npos) {
    return Invalid("'url' must be http://host:port");
  }
  return OkStatus();
}

Result<HttpReply> RegisterPeer(Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "peer");
  const std::int64_t index = reader.Int("index", 0, kMaxCount);
  const std::string boot = reader.String("boot");
  const std::string url = reader.String("url");
  const Incarnation newest(body.contains("newest") ? reader.Int("newest", 0, kMaxCount) : 0);
  const std::string run = body.contains("run") ? reader.String("run") : "";
  const Incarnation incarnation(reader.Int("incarnation", 0, kMaxCount));
  const json& cuts_json = reader.Any("cuts");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  const std::int64_t servers = context.service.spec().parameter_servers.replicas;
  if (index < 1 || index >= servers) {
    return NotFound("there is no server " + std::to_string(index) + " that registers: of " +
                    std::to_string(servers) + " servers, 0 does not");
  }
  ELEPHAS_RETURN_IF_ERROR(CheckName(boot).Annotate("'boot'"));
  if (!run.empty()) ELEPHAS_RETURN_IF_ERROR(CheckName(run).Annotate("'run'"));
  ELEPHAS_RETURN_IF_ERROR(CheckUrl(url));
  if (!cuts_json.is_array()) return Invalid("'cuts' must be an array of whole numbers");
  std::vector<std::int64_t> cuts;
  for (const json& cut : cuts_json) {
    if (!cut.is_number_integer() || cut < 1 || cut > kMaxCount) {
      return Invalid("'cuts' must be an array of whole numbers from 1");
    }
    cuts.push_back(cut.get<std::int64_t>());
  }
  ELEPHAS_ASSIGN_OR_RETURN(
      const JobService::PeerReply peer,
      context.service.RegisterPeer(index, {boot, url, incarnation, std::move(cuts), newest, run}));
  return JsonReply({{"incarnation", peer.incarnation.value()},
                    {"cut", peer.cut},
                    {"seed", peer.seed},
                    {"uid", peer.uid}});
}

}  // namespace

std::span<const Route> WorkerRoutes() {
  // An epoch-by-epoch metrics list of a long `fit` job, or a peer's list of cuts, may be long.
  constexpr std::uint64_t kMegabyte = 1 << 20;
  static const std::array kRoutes{
      Route{"GET", "/v1/job", GetJob},
      Route{"POST", "/v1/workers", Join, Body::kJson},
      Route{"PUT", "/v1/workers/{worker}/heartbeat", Heartbeat},
      Route{"DELETE", "/v1/workers/{worker}", Leave},
      Route{"POST", "/v1/failure", Fail, Body::kJson},
      Route{"POST", "/v1/leases", AcquireLease, Body::kJson},
      Route{"POST", "/v1/leases/{lease}/finish", FinishTask, Body::kJson, {}, kMegabyte},
      Route{"POST", "/v1/peers", RegisterPeer, Body::kJson, {}, kMegabyte},
  };
  return kRoutes;
}

}  // namespace elephas::rest
