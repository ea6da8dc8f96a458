#include "worker/group/group_client.h"

#include <map>
#include <utility>
#include <vector>

#include "common/json/reader.h"
#include "common/protocol/safetensors.h"
#include "worker/exchange/rest_call.h"

namespace elephas {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kGroupPatience{60000};

double Seconds(milliseconds time) { return static_cast<double>(time.count()) / 1000; }

std::string Path(Generation generation, std::string_view rest) {
  return "/v1/group/" + std::to_string(generation.value()) + std::string(rest);
}

}  // namespace

GroupClient::GroupClient(std::string base_url, std::string token, std::string worker,
                         Incarnation incarnation)
    : http_({.base_url = std::move(base_url), .token = std::move(token)}),
      worker_(std::move(worker)),
      incarnation_(incarnation) {}

Result<json> GroupClient::Call(std::string_view method, const std::string& target, const json* body,
                               milliseconds extra_wait) {
  return CallRest(http_, method, target, incarnation_, body, kGroupPatience + extra_wait);
}

Result<GroupPlace> GroupClient::Enter(Generation holds, Version version, milliseconds wait) {
  const json body{{"worker", worker_},
                  {"generation", holds.value()},
                  {"version", version.value()},
                  {"wait", Seconds(wait)}};
  ELEPHAS_ASSIGN_OR_RETURN(const json reply, Call("POST", "/v1/group", &body, wait));
  return GroupPlaceFromJson(reply);
}

Status GroupClient::SetId(Generation generation, const std::string& id) {
  const json body{{"worker", worker_}, {"id", ToHex(id)}};
  return Call("PUT", Path(generation, "/id"), &body).status();
}

Status GroupClient::Abort(Generation generation, const std::string& reason) {
  const json body{{"worker", worker_}, {"reason", reason}};
  return Call("POST", Path(generation, "/abort"), &body).status();
}

Result<bool> GroupClient::AwaitEnd(Generation generation, milliseconds wait) {
  const std::string query = "?wait=" + std::to_string(Seconds(wait));
  ELEPHAS_ASSIGN_OR_RETURN(const json reply, Call("GET", Path(generation, query), nullptr, wait));
  JsonReader reader(reply, "group reply");
  const bool over = reader.Bool("over");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return over;
}

Result<GroupStepsReply> GroupClient::StageSteps(GroupSteps steps) {
  steps.header.worker = worker_;
  steps.header.incarnation = incarnation_;
  const json body = ToJson(steps);
  ELEPHAS_ASSIGN_OR_RETURN(const json reply,
                           Call("POST", Path(steps.header.generation, "/steps"), &body));
  JsonReader reader(reply, "steps reply");
  GroupStepsReply staged;
  const std::string outcome = reader.String("outcome");
  staged.outcome = outcome == Word(UpdateOutcome::kDuplicate) ? UpdateOutcome::kDuplicate
                                                              : UpdateOutcome::kApplied;
  staged.rounds = reader.Int("rounds", 0);
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return staged;
}

Status GroupClient::StageModel(GroupCommitHeader header, const ModelLayout& layout,
                               std::int64_t iterations, std::span<const float> parameters,
                               std::span<const float> slots) {
  header.worker = worker_;
  header.incarnation = incarnation_;
  std::vector<safetensors::TensorInfo> tensors{
      {"parameters", "F32", {static_cast<std::int64_t>(parameters.size())}, 0, 0}};
  if (!slots.empty()) {
    const auto rows = static_cast<std::int64_t>(layout.slot_names.size());
    tensors.push_back({"slots", "F32", {rows, layout.trainable_elements}, 0, 0});
  }
  const std::string text = safetensors::SerializeHeader(
      {{"commit", ToJson(header).dump()}, {"iterations", std::to_string(iterations)}}, tensors);
  const std::vector<std::span<const std::byte>> pieces{
      std::as_bytes(std::span(text)), std::as_bytes(parameters), std::as_bytes(slots)};
  ELEPHAS_ASSIGN_OR_RETURN(
      const HttpResponse response,
      http_.Send("POST", Path(header.generation, "/model"),
                 {{"Content-Type", "application/octet-stream"}}, pieces, kGroupPatience));
  if (response.status < 200 || response.status > 299) return StatusFromReply(response);
  return OkStatus();
}

}  // namespace elephas
