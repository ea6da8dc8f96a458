// What changes the parameters: updates, each applied exactly once.
//
// Errors that every call may give: kUnavailable while servers are still agreeing on an incarnation.
// Calls that name an incarnation give kConflict when it is not the current one (the REST reply then
// carries "incarnation"). Thread-safe, as the JobService behind it is.
#pragma once

#include <memory>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/protocol.h"
#include "paramserver/store/float_buffer.h"

namespace elephas {

struct UpdateReply {
  UpdateOutcome outcome = UpdateOutcome::kApplied;
  Version version;
};

class UpdateService {
 public:
  virtual ~UpdateService() = default;

  // Looks at an update before its body is read. kDuplicate: answer so, the body changes nothing.
  // kConflict: the message says why (lost lease, wrong range); kInvalid: it can never be right.
  virtual Result<UpdateOutcome> AdmitUpdate(const UpdateHeader& header) const = 0;
  // Applies it, or finds that it was applied. `delta` has Expects()->parameters.size() elements
  // (gradient over the trainable part and delta over the rest for synchronous batch); `slots` only
  // for synchronous epoch and fit. kInvalid for a NaN or infinity unless fit.onNaN is continue.
  virtual Result<UpdateReply> ApplyUpdate(const UpdateHeader& header,
                                          std::shared_ptr<FloatBuffer> delta,
                                          std::vector<std::shared_ptr<FloatBuffer>> slots) = 0;
};

}  // namespace elephas
