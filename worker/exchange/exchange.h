// How a worker exchanges parameters with the parameter servers. rest_exchange.h does it over REST,
// metered_exchange.h counts what another one does. Workers that train as a group add up among
// themselves without this (worker/group/).
#pragma once

#include <cstdint>
#include <span>

#include "common/base/result.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/protocol.h"

namespace elephas {

// Spans are host memory, float32. `parameters` and `delta` have layout.total_elements elements;
// `slots` has slot_names.size() rows of trainable_elements, or is empty.
//
// Blocking; not thread-safe: one per thread. kUnavailable and kTimeout may be tried again, and a
// push may then have been applied already: the ledger answers a repeat as a duplicate. kConflict:
// the incarnation is over, or the lease is of no use any more.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // The job's first parameters; a server that has some keeps them.
  virtual Status Initialise(const ModelLayout& layout, std::span<const float> parameters,
                            std::span<const float> slots, std::int64_t iterations) = 0;

  struct Pulled {
    Version version;
    std::int64_t iterations = 0;  // optimizer steps that the slots have seen (synchronous)
  };
  // Waits a while for a version of at least `minimum`. An empty `slots` asks for none.
  virtual Result<Pulled> Pull(Version minimum, std::span<float> parameters,
                              std::span<float> slots) = 0;

  // The model as it was after `epoch` epochs, one that a lease's decisions name; its slots where
  // `slots` is not empty. kNotFound when a server does not have it.
  virtual Result<Pulled> PullEpoch(std::int64_t epoch, std::span<float> parameters,
                                   std::span<float> slots) = 0;

  struct Pushed {
    UpdateOutcome outcome = UpdateOutcome::kApplied;
    Version version;
  };
  // `fresh`, when not empty, receives the parameters after the update in the same exchange.
  virtual Result<Pushed> Push(const UpdateHeader& header, std::span<const float> delta,
                              std::span<const float> slots, std::span<float> fresh) = 0;
};

}  // namespace elephas
