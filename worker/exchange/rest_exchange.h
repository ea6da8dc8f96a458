// Exchange over REST: one connection to each parameter server, each holding its range of the arena.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/exchange/exchange.h"

namespace elephas {

// `servers` as in JoinReply; `layout` must outlive the exchange. Servers 1..n-1 are pushed to first
// and server 0 last, so what server 0 has recorded is everywhere (docs/design/engine.md).
std::unique_ptr<Exchange> MakeRestExchange(const std::vector<std::string>& servers,
                                           const std::string& token, Incarnation incarnation,
                                           const ModelLayout& layout);

}  // namespace elephas
