// POST /v1/updates: the one request that changes what is trained.
#include "paramserver/rest/updates.h"

#include <algorithm>

#include "paramserver/rest/rest_metrics.h"
#include "paramserver/rest/route.h"
#include "paramserver/rest/snapshot.h"
#include "paramserver/rest/tensors.h"

namespace elephas::rest {
namespace {

// What the sender wants back beside the outcome.
struct Wish {
  bool parameters = false;
  bool slots = false;
  std::int64_t min_version = 0;
  std::chrono::milliseconds wait{};
};

Result<Wish> ReadWish(const HttpRequest& request) {
  Wish wish;
  if (const auto wanted = request.query("return")) {
    if (*wanted != "parameters") return Invalid("query parameter return: only 'parameters'");
    wish.parameters = true;
  }
  for (const char* name : {"slots", "minVersion", "wait"}) {
    if (request.query(name) && !wish.parameters) {
      return Invalid("query parameter " + std::string(name) + " needs return=parameters");
    }
  }
  ELEPHAS_ASSIGN_OR_RETURN(wish.slots, QueryBool(request, "slots"));
  ELEPHAS_ASSIGN_OR_RETURN(wish.min_version, QueryInt(request, "minVersion", 0));
  ELEPHAS_ASSIGN_OR_RETURN(wish.wait, QueryWait(request));
  return wish;
}

// The update counts whatever happens here, and an error reply says so too: its sender may pull, or
// send the update again.
HttpReply Reply(ParameterService& parameters, const JobBasics& job, const UpdateHeader& header,
                const UpdateReply& update, const Wish& wish) {
  HttpReply reply;
  std::int64_t version = update.version.value();
  if (!wish.parameters) {
    reply = JsonReply({{"outcome", Word(update.outcome)}, {"version", version}});
  } else if (const auto snapshot = parameters.Pull(header.incarnation, Version(wish.min_version),
                                                   wish.slots, wish.wait);
             snapshot.ok()) {
    reply = SnapshotReply(*snapshot);
    version = snapshot->version.value();
  } else {
    reply = ErrorReply(snapshot.status(), job.CurrentIncarnation());
  }
  reply.headers.emplace_back("Elephas-Version", std::to_string(version));
  reply.headers.emplace_back("Elephas-Outcome", Word(update.outcome));
  return reply;
}

Result<UpdateReply> Repeated(ParameterService& parameters, const UpdateHeader& header,
                             HttpRequest& request) {
  ELEPHAS_RETURN_IF_ERROR(SkipBody(request));
  ELEPHAS_ASSIGN_OR_RETURN(
      const Snapshot snapshot,
      parameters.Pull(header.incarnation, Version(0), false, std::chrono::milliseconds(0)));
  return UpdateReply{UpdateOutcome::kDuplicate, snapshot.version};
}

Result<HttpReply> PostUpdate(UpdateService& updates, ParameterService& parameters, Context& context,
                             Call& call) {
  HttpRequest& request = call.request;
  ELEPHAS_ASSIGN_OR_RETURN(const Wish wish, ReadWish(request));
  ELEPHAS_ASSIGN_OR_RETURN(const BodyShape shape, context.job.Expects());
  TensorBody body(ModelTensors("delta", shape), MaxUpdateHeader(context.job.spec()));
  if (request.content_length() > body.max_bytes()) {
    return TooLarge(request.content_length(), body.max_bytes());
  }
  ELEPHAS_RETURN_IF_ERROR(body.ReadHeader(request));
  ELEPHAS_ASSIGN_OR_RETURN(const UpdateHeader header, ParseUpdateHeader(body.Metadata("update")));

  ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome expected, updates.AdmitUpdate(header));
  if (expected == UpdateOutcome::kDuplicate) {
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateReply repeated, Repeated(parameters, header, request));
    context.metrics.CountUpdate(/*applied=*/false);
    return Reply(parameters, context.job, header, repeated, wish);
  }
  ELEPHAS_RETURN_IF_ERROR(body.ReadData(request, context.job));
  ELEPHAS_ASSIGN_OR_RETURN(
      const UpdateReply update,
      updates.ApplyUpdate(header, body.Take("delta").front(), body.Take("slots")));
  context.metrics.CountUpdate(update.outcome == UpdateOutcome::kApplied);
  return Reply(parameters, context.job, header, update, wish);
}

}  // namespace

std::uint64_t MaxUpdateHeader(const JobSpec& spec) {
  constexpr std::uint64_t kOneEpoch = 65536;
  constexpr std::uint64_t kEachEpoch = 8192;
  constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;
  if (spec.frequency != Frequency::kFit) return kOneEpoch;
  const auto epochs = static_cast<std::uint64_t>(std::max<std::int64_t>(spec.fit.epochs, 1));
  return epochs > kMostBytes / kEachEpoch ? kMostBytes : kOneEpoch + epochs * kEachEpoch;
}

Result<UpdateHeader> ParseUpdateHeader(const std::string* text) {
  if (text == nullptr) return Invalid("metadata 'update' is missing");
  const auto json = ParseBoundedJson(*text, JsonLimitsFor(text->size()));
  if (!json.ok()) return json.status().Annotate("metadata 'update'");
  return UpdateHeaderFromJson(*json);
}

std::vector<Route> UpdateRoutes(UpdateService& updates, ParameterService& parameters) {
  return {
      Route{"POST",
            "/v1/updates",
            [&updates, &parameters](Context& context, Call& call) {
              return PostUpdate(updates, parameters, context, call);
            },
            Body::kTensors,
            {"return", "minVersion", "wait", "slots"}},
  };
}

}  // namespace elephas::rest
