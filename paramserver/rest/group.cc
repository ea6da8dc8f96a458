// Training in a group: who is in it, and the commits of its rounds.
#include <algorithm>
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

Result<HttpReply> Enter(GroupService& group, Context&, Call& call) {
  GroupService::GroupQuestion question;
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
  ELEPHAS_ASSIGN_OR_RETURN(const GroupPlace place, group.EnterGroup(question, wait));
  return JsonReply(ToJson(place));
}

Result<HttpReply> SetId(GroupService& group, Context&, Call& call) {
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
  ELEPHAS_RETURN_IF_ERROR(group.SetGroupId(worker, incarnation, generation, id));
  return NoContent();
}

Result<HttpReply> Abort(GroupService& group, Context&, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "abort");
  const std::string worker = reader.String("worker");
  const std::string reason = reader.String("reason");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckName(worker));
  ELEPHAS_RETURN_IF_ERROR(group.AbortGroup(worker, incarnation, generation, reason));
  LogWarning("group aborted",
             {{"worker", worker}, {"generation", generation.value()}, {"reason", reason}});
  return NoContent();
}

Result<HttpReply> AwaitEnd(GroupService& group, Context&, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const auto wait, QueryWait(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const bool over, group.AwaitGroupEnd(incarnation, generation, wait));
  return JsonReply({{"over", over}});
}

// The path and the header name the same generation, or the sender is confused.
Status CheckGeneration(const Generation& path, const GroupCommitHeader& header) {
  if (path == header.generation) return CheckName(header.worker);
  return Invalid("'generation' is not the one in the path");
}

Result<HttpReply> PostSteps(GroupService& group, Context&, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const GroupSteps steps, GroupStepsFromJson(body));
  ELEPHAS_RETURN_IF_ERROR(CheckGeneration(generation, steps.header));
  ELEPHAS_ASSIGN_OR_RETURN(const GroupStepsReply reply, group.StageGroupSteps(steps));
  return JsonReply({{"outcome", Word(reply.outcome)}, {"rounds", reply.rounds}});
}

Result<GroupCommitHeader> ParseCommit(const std::string* text) {
  if (text == nullptr) return Invalid("metadata 'commit' is missing");
  const auto value = ParseBoundedJson(*text, JsonLimitsFor(text->size()));
  if (!value.ok()) return value.status().Annotate("metadata 'commit'");
  return GroupCommitHeaderFromJson(*value);
}

Result<HttpReply> PostModel(GroupService& group, Context& context, Call& call) {
  HttpRequest& request = call.request;
  ELEPHAS_ASSIGN_OR_RETURN(const Generation generation, PathGeneration(call));
  ELEPHAS_ASSIGN_OR_RETURN(const BodyShape shape, context.job.Expects());
  TensorBody body(ModelTensors("parameters", shape), MaxUpdateHeader(context.job.spec()));
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
  ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome expected, group.AdmitGroupModel(header));
  if (expected == UpdateOutcome::kDuplicate) {
    ELEPHAS_RETURN_IF_ERROR(SkipBody(request));
    return JsonReply({{"outcome", Word(expected)}, {"version", header.target.value()}});
  }
  ELEPHAS_RETURN_IF_ERROR(body.ReadData(request, context.job));
  ELEPHAS_ASSIGN_OR_RETURN(
      const UpdateReply reply,
      group.StageGroupModel(header, iterations, body.Take("parameters").front(),
                            body.Take("slots")));
  return JsonReply({{"outcome", Word(reply.outcome)}, {"version", reply.version.value()}});
}

}  // namespace

std::vector<Route> GroupRoutes(GroupService& group) {
  // Metrics of many partitions, of all epochs for fit.
  constexpr std::uint64_t kMaxSteps = 16 << 20;
  return {
      Route{"POST", "/v1/group", With(group, Enter), Body::kJson},
      Route{"GET", "/v1/group/{generation}", With(group, AwaitEnd), Body::kNone, {"wait"}},
      Route{"PUT", "/v1/group/{generation}/id", With(group, SetId), Body::kJson},
      Route{"POST", "/v1/group/{generation}/abort", With(group, Abort), Body::kJson},
      Route{"POST",
            "/v1/group/{generation}/steps",
            With(group, PostSteps),
            Body::kJson,
            {},
            kMaxSteps},
      Route{"POST", "/v1/group/{generation}/model", With(group, PostModel), Body::kTensors},
  };
}

}  // namespace elephas::rest
