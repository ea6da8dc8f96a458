// The worker's side of /v1 but for parameters: join, leases, heartbeats, finished tasks.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/http/client.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/protocol.h"

namespace elephas {

// Speaks to one server (server 0, but for SetLayout). Blocking; not thread-safe: one per thread.
class JobClient {
 public:
  JobClient(std::string base_url, std::string token);

  // {"uid", "manifest", …}; the manifest is what ParseManifest reads.
  Result<nlohmann::json> Job();
  // What the worker can exchange by beside REST; `collective` empty: nothing, and why.
  struct Offer {
    std::string collective, why_none;
  };
  Result<JoinReply> Join(const std::string& name, const Offer& offer);
  Status Heartbeat(const std::string& worker, Incarnation incarnation);
  Status Leave(const std::string& worker);
  // The whole job fails with it.
  Status Fail(const std::string& worker, const std::string& reason, const std::string& message);
  Status SetLayout(Incarnation incarnation, const ModelLayout& layout);
  Result<LeaseReply> AcquireLease(const std::string& worker, Incarnation incarnation,
                                  std::chrono::milliseconds wait, bool prefetch);
  Result<UpdateOutcome> Finish(const Lease& lease, std::int64_t examples, const MetricSums& metrics,
                               const std::vector<std::string>& outputs);
  Result<nlohmann::json> History();
  Result<nlohmann::json> JobStatus();

 private:
  Result<nlohmann::json> Call(std::string_view method, std::string_view target,
                              Incarnation incarnation, const nlohmann::json* body,
                              std::chrono::milliseconds extra_wait = {});
  HttpClient http_;
};

}  // namespace elephas
