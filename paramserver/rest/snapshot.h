// A Snapshot as a reply: safetensors whose data is sent out of the snapshot's own buffers.
#pragma once

#include "common/http/server.h"
#include "paramserver/job/parameter_service.h"

namespace elephas::rest {

// "3.17": incarnation and version, as it stands between the quotes of an ETag.
std::string EntityTag(const Snapshot& snapshot);

// Tensors "parameters" [elements] and, where the snapshot has them, "slots" [k, elements], with
// version, incarnation and iterations in the metadata.
HttpReply SnapshotReply(const Snapshot& snapshot);

}  // namespace elephas::rest
