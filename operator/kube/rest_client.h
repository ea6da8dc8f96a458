// A Client that talks to a real API server.
#pragma once

#include <memory>

#include "operator/kube/client.h"
#include "operator/kube/observer.h"
#include "operator/kube/rest_config.h"

namespace elephas::kube {

// `observer` outlives the client. Nothing is sent before the first call. kInvalid: a
// certificate, key or address in `config` that cannot be used.
Result<std::unique_ptr<Client>> MakeRestClient(const RestConfig& config,
                                               ClientObserver& observer = NoObserver());

}  // namespace elephas::kube
