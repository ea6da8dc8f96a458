#include "paramserver/rest/snapshot.h"

#include "common/protocol/safetensors.h"
#include "paramserver/rest/route.h"

namespace elephas::rest {

std::string EntityTag(const Snapshot& snapshot) {
  return "\"" + std::to_string(snapshot.incarnation.value()) + "." +
         std::to_string(snapshot.version.value()) + "\"";
}

HttpReply SnapshotReply(const Snapshot& snapshot) {
  auto kept = std::make_shared<const Snapshot>(snapshot);
  const auto floats = kept->parameters->floats();
  std::vector<safetensors::TensorInfo> tensors;
  tensors.push_back(
      {.name = "parameters", .dtype = "F32", .shape = {static_cast<std::int64_t>(floats.size())}});
  HttpReply reply;
  reply.content_type = kTensorType;
  reply.tail.push_back(std::as_bytes(floats));
  if (!kept->slots.empty()) {
    const auto elements = static_cast<std::int64_t>(kept->slots.front()->floats().size());
    tensors.push_back({.name = "slots",
                       .dtype = "F32",
                       .shape = {static_cast<std::int64_t>(kept->slots.size()), elements}});
    for (const auto& slot : kept->slots) reply.tail.push_back(std::as_bytes(slot->floats()));
  }
  reply.body =
      safetensors::SerializeHeader({{"version", std::to_string(kept->version.value())},
                                    {"incarnation", std::to_string(kept->incarnation.value())},
                                    {"iterations", std::to_string(kept->iterations)}},
                                   tensors);
  reply.headers.emplace_back("ETag", EntityTag(*kept));
  reply.keep_alive = std::move(kept);
  return reply;
}

}  // namespace elephas::rest
