// The model that a server holds its range of: its layout, its first parameters, and pulls.
//
// Errors that every call may give: kUnavailable while servers are still agreeing on an incarnation.
// Calls that name an incarnation give kConflict when it is not the current one (the REST reply then
// carries "incarnation"). Thread-safe, as the JobService behind it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/protocol.h"
#include "paramserver/store/float_buffer.h"

namespace elephas {

struct Snapshot {
  Version version;
  Incarnation incarnation;
  std::int64_t iterations = 0;  // optimizer steps done (synchronous)
  // Parameters of this server's range, then slot after slot where they were asked for.
  std::shared_ptr<const FloatBuffer> parameters;
  std::vector<std::shared_ptr<const FloatBuffer>> slots;
};

class ParameterService {
 public:
  virtual ~ParameterService() = default;

  // Accepts the first layout; an equal one later is fine, a different one is kConflict naming what
  // differs.
  virtual Status SetLayout(Incarnation incarnation, const ModelLayout& layout) = 0;
  // Null before initialisation.
  [[nodiscard]] virtual std::shared_ptr<const ModelLayout> Layout() const = 0;
  // `slots` may be empty: initial values. A repeat is ignored.
  virtual Status SetParameters(Incarnation incarnation, std::shared_ptr<FloatBuffer> parameters,
                               std::vector<std::shared_ptr<FloatBuffer>> slots,
                               std::int64_t iterations) = 0;
  // Waits up to `wait` until the version is at least `minimum`; kTimeout otherwise.
  virtual Result<Snapshot> Pull(Incarnation incarnation, Version minimum, bool with_slots,
                                std::chrono::milliseconds wait) = 0;
  // The model as it was after `epoch` epochs, one that FitDecisions name. kNotFound for another.
  virtual Result<Snapshot> PullEpoch(Incarnation incarnation, std::int64_t epoch,
                                     bool with_slots) = 0;
};

}  // namespace elephas
