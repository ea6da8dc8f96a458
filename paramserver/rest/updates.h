// Parsing of a pushed update's description, apart from the socket so that it can be fuzzed.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/protocol/protocol.h"

namespace elephas::rest {

// Bytes that the safetensors header of an update may have: metrics of one epoch fit well into 64
// KB, a `fit` update carries those of every epoch.
std::uint64_t MaxUpdateHeader(const JobSpec& spec);

// `text`: `__metadata__["update"]` of the body; null when it has none.
Result<UpdateHeader> ParseUpdateHeader(const std::string* text);

}  // namespace elephas::rest
