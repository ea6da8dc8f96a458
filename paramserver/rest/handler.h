// The HTTP edge of a JobService: routes, authentication, bounds, and the translation between bytes
// and plain structs. No arithmetic and no state of the job. What it speaks is docs/openapi.yaml.
//
// A request is checked in this order, and nothing is changed before all of it passed: route (404),
// token (401; an unknown path under /v1 too), method (405), query parameters (400), content type
// (415), size (413), header (400), body (400). The size is checked against what the model needs
// before anything is allocated.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "common/http/server.h"
#include "paramserver/job/job_service.h"

namespace elephas {

struct RestOptions {
  std::string token;        // of the job; must not be empty
  nlohmann::json manifest;  // ParsedManifest::document
  std::string uid;
  std::int64_t server_index = 0;
};

// Thread-safe: one handler serves all connections.
class RestHandler {
 public:
  // `service` must outlive the handler.
  RestHandler(JobService& service, RestOptions options);
  ~RestHandler();

  // Never throws but for exhausted memory. Blocks as long as the request asks for, at most a
  // minute.
  HttpReply Handle(HttpRequest& request);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace elephas
