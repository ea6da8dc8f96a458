// A group member's side of /v1/group (docs/openapi.yaml).
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "common/base/result.h"
#include "common/http/client.h"
#include "common/protocol/group_protocol.h"
#include "common/protocol/model_layout.h"

namespace elephas {

// Speaks to server 0. Blocking; not thread-safe: one per thread. Errors as JobClient.
class GroupClient {
 public:
  GroupClient(std::string base_url, std::string token, std::string worker, Incarnation incarnation);

  Result<GroupPlace> Enter(Generation holds, Version version, std::chrono::milliseconds wait);
  Status SetId(Generation generation, const std::string& id);
  Status Abort(Generation generation, const std::string& reason);
  // Waits up to `wait`. True: the generation is over.
  Result<bool> AwaitEnd(Generation generation, std::chrono::milliseconds wait);
  // The header's worker and incarnation are filled in.
  Result<GroupStepsReply> StageSteps(GroupSteps steps);
  // `slots`: one row of trainable elements after the other.
  Status StageModel(GroupCommitHeader header, const ModelLayout& layout, std::int64_t iterations,
                    std::span<const float> parameters, std::span<const float> slots);

 private:
  Result<nlohmann::json> Call(std::string_view method, const std::string& target,
                              const nlohmann::json* body,
                              std::chrono::milliseconds extra_wait = {});

  HttpClient http_;
  const std::string worker_;
  const Incarnation incarnation_;
};

}  // namespace elephas
