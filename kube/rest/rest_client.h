// A Client that talks to a real API server.
#pragma once

#include <memory>

#include "kube/client.h"
#include "kube/config/rest_config.h"
#include "kube/object_text.h"
#include "kube/observer.h"

namespace elephas::kube {

// `observer` outlives the client. Nothing is sent before the first call. kInvalid: a
// certificate, key or address in `config` that cannot be used.
Result<std::unique_ptr<Client>> MakeRestClient(const RestConfig& config,
                                               ClientObserver& observer = NoObserver());

// How much of what a server says is held in memory at once, for a program that many tenants share.
struct ClientBounds {
  JsonBounds object;                 // see ParseObject
  std::size_t answer_bytes = 0;      // of a whole answer; a longer List is kInvalid
  std::size_t watch_line_bytes = 0;  // of one event
};
Result<std::unique_ptr<Client>> MakeRestClient(const RestConfig& config, const ClientBounds& bounds,
                                               ClientObserver& observer = NoObserver());

}  // namespace elephas::kube
