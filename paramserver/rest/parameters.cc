// Layout and parameters: initialisation, pulls and the whole model.
#include <charconv>

#include "common/base/log.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/safetensors.h"
#include "paramserver/rest/route.h"
#include "paramserver/rest/snapshot.h"
#include "paramserver/rest/tensors.h"

namespace elephas::rest {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxTensorHeader = 65536;

json RangeJson(const Range& range) { return json::array({range.first, range.last}); }

// Some hundred bytes and a dozen values for each of 50,000 weights; an optimizer whose schedules hold
// schedules.
constexpr JsonLimits kLayoutLimits{
    .max_bytes = std::size_t{16} << 20, .max_depth = 16, .max_nodes = 800'000};

json RangesJson(const BodyShape& shape) {
  return {{"parameters", RangeJson(shape.parameters)}, {"slots", RangeJson(shape.slots)}};
}

Result<HttpReply> GetLayout(ParameterService& parameters, Context& context, Call&) {
  const auto layout = parameters.Layout();
  if (layout == nullptr) return NotFound("no worker has brought a layout yet");
  ELEPHAS_ASSIGN_OR_RETURN(const BodyShape shape, context.job.Expects());
  json reply = RangesJson(shape);
  reply["layout"] = ToJson(*layout);
  return JsonReply(reply);
}

Result<HttpReply> PutLayout(ParameterService& parameters, Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request, kLayoutLimits));
  ELEPHAS_ASSIGN_OR_RETURN(const ModelLayout layout, ModelLayoutFromJson(body));
  ELEPHAS_RETURN_IF_ERROR(parameters.SetLayout(incarnation, layout));
  ELEPHAS_ASSIGN_OR_RETURN(const BodyShape shape, context.job.Expects());
  return JsonReply(RangesJson(shape));
}

// Of "__metadata__": the optimizer steps that the parameters have behind them.
Result<std::int64_t> Iterations(const TensorBody& body) {
  const std::string* text = body.Metadata("iterations");
  if (text == nullptr) return std::int64_t{0};
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < 0) {
    return Invalid("metadata 'iterations': a whole number from 0 is expected");
  }
  return value;
}

Result<HttpReply> PutParameters(ParameterService& parameters, Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, RequiredIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const BodyShape shape, context.job.Expects());
  TensorBody body(ModelTensors("parameters", shape), kMaxTensorHeader);
  if (call.request.content_length() > body.max_bytes()) {
    return TooLarge(call.request.content_length(), body.max_bytes());
  }
  ELEPHAS_RETURN_IF_ERROR(body.ReadHeader(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t iterations, Iterations(body));
  if (incarnation != context.job.CurrentIncarnation()) return Conflict("another incarnation");
  ELEPHAS_RETURN_IF_ERROR(body.ReadData(call.request, context.job));
  ELEPHAS_RETURN_IF_ERROR(parameters.SetParameters(incarnation, body.Take("parameters").front(),
                                                   body.Take("slots"), iterations));
  LogInfo("initial parameters received",
          {{"parameters", shape.parameters.size()}, {"incarnation", incarnation.value()}});
  return NoContent();
}

// True when If-None-Match names the tag, or any.
bool Matches(std::string_view header, std::string_view tag) {
  while (!header.empty()) {
    const auto comma = std::min(header.find(','), header.size());
    std::string_view entry = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    while (entry.starts_with(' ')) entry.remove_prefix(1);
    while (entry.ends_with(' ')) entry.remove_suffix(1);
    if (entry.starts_with("W/")) entry.remove_prefix(2);
    if (entry == tag || entry == "*") return true;
  }
  return false;
}

Result<HttpReply> GetParameters(ParameterService& parameters, Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const auto named, OptionalIncarnation(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t minimum, QueryInt(call.request, "minVersion", 0));
  ELEPHAS_ASSIGN_OR_RETURN(const auto wait, QueryWait(call.request));
  ELEPHAS_ASSIGN_OR_RETURN(const bool with_slots, QueryBool(call.request, "slots"));
  ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t epoch, QueryInt(call.request, "epoch", 0));
  const Incarnation incarnation = named.value_or(context.job.CurrentIncarnation());
  if (epoch > 0) {
    // It is there or it is not: minVersion and wait have nothing to wait for.
    ELEPHAS_ASSIGN_OR_RETURN(const Snapshot kept,
                             parameters.PullEpoch(incarnation, epoch, with_slots));
    HttpReply reply = SnapshotReply(kept);
    std::erase_if(reply.headers, [](const auto& header) { return header.first == "ETag"; });
    return reply;
  }
  ELEPHAS_ASSIGN_OR_RETURN(const Snapshot snapshot,
                           parameters.Pull(incarnation, Version(minimum), with_slots, wait));
  const std::string tag = EntityTag(snapshot);
  if (const auto header = call.request.header("If-None-Match"); header && Matches(*header, tag)) {
    HttpReply reply;
    reply.status = 304;
    reply.headers.emplace_back("ETag", tag);
    return reply;
  }
  return SnapshotReply(snapshot);
}

Result<HttpReply> GetModel(ParameterService& parameters, Context& context, Call&) {
  const std::int64_t servers = context.job.spec().parameter_servers.replicas;
  if (servers > 1) {
    return Conflict("the model is spread over " + std::to_string(servers) +
                    " servers: GET /v1/parameters from each and join them by /v1/layout");
  }
  const auto layout = parameters.Layout();
  if (layout == nullptr) return NotFound("there is no model yet");
  ELEPHAS_ASSIGN_OR_RETURN(const Snapshot snapshot,
                           parameters.Pull(context.job.CurrentIncarnation(), Version(0), false,
                                           std::chrono::milliseconds(0)));
  HttpReply reply = SnapshotReply(snapshot);
  std::vector<safetensors::TensorInfo> tensors;
  for (const WeightLayout& weight : layout->weights) {
    tensors.push_back({.name = weight.name, .dtype = "F32", .shape = weight.shape});
  }
  // The flat arena has the weights in the layout's order and without gaps, as the format wants
  // them.
  reply.body =
      safetensors::SerializeHeader({{"version", std::to_string(snapshot.version.value())},
                                    {"incarnation", std::to_string(snapshot.incarnation.value())}},
                                   tensors);
  reply.headers.emplace_back("Content-Disposition", "attachment; filename=\"model.safetensors\"");
  return reply;
}

}  // namespace

std::vector<Route> ParameterRoutes(ParameterService& parameters) {
  return {
      Route{"GET", "/v1/layout", With(parameters, GetLayout)},
      Route{"PUT",
            "/v1/layout",
            With(parameters, PutLayout),
            Body::kJson,
            {},
            kLayoutLimits.max_bytes},
      Route{"GET",
            "/v1/parameters",
            With(parameters, GetParameters),
            Body::kNone,
            {"minVersion", "wait", "slots", "epoch"}},
      Route{"PUT", "/v1/parameters", With(parameters, PutParameters), Body::kTensors},
      Route{"GET", "/v1/model.safetensors", With(parameters, GetModel)},
  };
}

}  // namespace elephas::rest
