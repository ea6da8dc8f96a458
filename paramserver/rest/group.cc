// Training in a group: who is in it, and the commits of its rounds.
#include <algorithm>
#include <array>
#include <charconv>

#include "common/base/log.h"
#include "common/json/reader.h"
#include "common/protocol/group_protocol.h"
#include "common/protocol/protocol.h"
#include "paramserver/rest/route.h"
#include "paramserver/rest/tensors.h"
#include "paramserver/rest/updates.h"

namespace elephas::rest {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxId = 4096;  // bytes

Result<Generation> PathGeneration(const Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t generation,
                           PathNumber(call.path_values[0], "generation"));
  return Generation(generation);
}

Result<HttpReply> Enter(Context& context, Call& call) {
  JobService::GroupQuestion question;
  ELEPHAS_ASSIGN_OR_RETURN(question.incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "group");
  question.worker = reader.String("worker");
  question.holds =
      Generation(body.contains("generation") ? reader.Int("generation", 0, kMaxCount) : 0);
  question.version = Version(body.contains("version") ? reader.Int("version", 0, kMaxCount) : 0);
  const double seconds = body.contains("wait") ? reader.Number("wait") : 0.0;
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(question.worker));
  ELEPHAS_ASSIGN_OR_RETURN(const auto wait, WaitFromSeconds(seconds));
  ELEPHAS_ASSIGN_OR_RETURN(const GroupPlace place, context.service.EnterGroup(question, wait));
  return JsonReply(ToJson(place));
}

Result<HttpReply> SetId(Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "group id");
  const std::string worker = reader.String("worker");
  const std::string digits = reader.String("id");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(worker));
  ELEPHAS_ASSIGN_OR_RETURN(const std::string id, FromHex(digits));
  if (id.empty() || id.size() > kMaxId) {
    return Invalid("'id' has 1 to " + std::to_string(kMaxId) + " bytes");
  }
  ELEPHAS_RETURN_IF_ERROR(context.service.SetGroupId(worker, incarnation, generation, id));
  return NoContent();
}

Result<HttpReply> Abort(Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "abort");
  const std::string worker = reader.String("worker");
  const std::string reason = reader.String("reason");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(worker));
  ELEPHAS_RETURN_IF_ERROR(context.service.AbortGroup(worker, incarnation, generation, reason));
  LogWarning("group aborted",
             {{"worker", worker}, {"generation", generation.value()}, {"reason", reason}});
  return NoContent();
}

Result<HttpReply> AwaitEnd(Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const auto wait, QueryWait(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const bool over,
                           context.service.AwaitGroupEnd(incarnation, generation, wait));
  return JsonReply({{"over", over}});
}

// The path and the header name the same generation, or the sender is confused.
Status CheckGeneration(const Generation& path, const GroupCommitHeader& header) {
  if (path == header.generation) return CheckName(header.worker);
  return Invalid("'generation' is not the one in the path");
}

Result<HttpReply> PostSteps(Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const GroupSteps steps, GroupStepsFromJson(body));
  ELEPHAS_RETURN_IF_ERROR(CheckGeneration(generation, steps.header));
  ELEPHAS_ASSIGN_OR_RETURN(const GroupStepsReply reply, context.service.StageGroupSteps(steps));
  return JsonReply({{"outcome", Word(reply.outcome)}, {"rounds", reply.rounds}});
}

Result<GroupCommitHeader> ParseCommit(const std::string* text) {
  if (text == nullptr) return Invalid("metadata 'commit' is missing");
  const auto value = ParseBoundedJson(*text, JsonLimitsFor(text->size()));
  if (!value.ok()) return value.status().Annotate("metadata 'commit'");
  return GroupCommitHeaderFromJson(*value);
}

Result<HttpReply> PostModel(Context& context, Call& call) {
  JobService& service = context.service;
  HttpRequest& request = call.request;
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const Range range, service.ParameterRange());
  ELEPHAS_ASSIGN_OR_RETURN(const Range slot_range, service.SlotRange());
  const auto layout = service.Layout();
  if (layout == nullptr) return Conflict("the layout comes first: PUT /v1/layout");
  const auto slots = static_cast<std::int64_t>(layout->slot_names.size());
  TensorBody body({{.name = "parameters", .shape = {range.size()}},
                   {.name = "slots", .shape = {slots, slot_range.size()}, .required = false}},
                  MaxUpdateHeader(service.spec()));
  if (request.content_length() > body.max_bytes()) {
    return TooLarge(request.content_length(), body.max_bytes());
  }
  ELEPHAS_RETURN_IF_ERROR(body.ReadHeader(request));
  ELEPHAS_ASSIGN_OR_RETURN(const GroupCommitHeader header, ParseCommit(body.Metadata("commit")));
  ELEPHAS_RETURN_IF_ERROR(CheckGeneration(generation, header));
  std::int64_t iterations = -1;
  if (const std::string* text = body.Metadata("iterations")) {
    const char* end = text->data() + text->size();
    if (std::from_chars(text->data(), end, iterations).ptr != end) iterations = -1;
  }
  if (iterations < 0 || iterations > kMaxCount) {
    return Invalid("metadata 'iterations': a whole number from 0 is expected");
  }
  ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome expected, service.AdmitGroupModel(header));
  if (expected == UpdateOutcome::kDuplicate) {
    ELEPHAS_RETURN_IF_ERROR(SkipBody(request));
    return JsonReply({{"outcome", Word(expected)}, {"version", header.target.value()}});
  }
  ELEPHAS_RETURN_IF_ERROR(body.ReadData(request, service));
  ELEPHAS_ASSIGN_OR_RETURN(
      const UpdateReply reply,
      service.StageGroupModel(header, iterations, body.Take("parameters").front(),
                              body.Take("slots")));
  return JsonReply({{"outcome", Word(reply.outcome)}, {"version", reply.version.value()}});
}

}  // namespace

std::span<const Route> GroupRoutes() {
  constexpr std::uint64_t kMaxSteps = 16
                                      << 20;  // metrics of many partitions, of all epochs for fit
  static const std::array kRoutes{
      Route{"POST", "/v1/group", Enter, Body::kJson},
      Route{"GET", "/v1/group/{generation}", AwaitEnd, Body::kNone, {"wait"}},
      Route{"PUT", "/v1/group/{generation}/id", SetId, Body::kJson},
      Route{"POST", "/v1/group/{generation}/abort", Abort, Body::kJson},
      Route{"POST", "/v1/group/{generation}/steps", PostSteps, Body::kJson, {}, kMaxSteps},
      Route{"POST", "/v1/group/{generation}/model", PostModel, Body::kTensors},
  };
  return kRoutes;
}

}  // namespace elephas::rest
