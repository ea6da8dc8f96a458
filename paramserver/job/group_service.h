// Training in a group, by server 0; docs/design/nccl.md.
//
// Errors that every call may give: kUnavailable while servers are still agreeing on an incarnation.
// Calls that name an incarnation give kConflict when it is not the current one (the REST reply then
// carries "incarnation"). Thread-safe, as the JobService behind it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/group_protocol.h"
#include "paramserver/job/update_service.h"
#include "paramserver/store/float_buffer.h"

namespace elephas {

class GroupService {
 public:
  virtual ~GroupService() = default;

  struct GroupQuestion {
    std::string worker;
    Incarnation incarnation;
    Generation holds;  // whose communicator it has; 0: none
    Version version;   // of its model; 0: none
  };
  // Waits up to `wait` for anything but kWait. A member whose version is not committed yet waits
  // for that; where no training is to be done now, the reply comes at once.
  virtual Result<GroupPlace> EnterGroup(const GroupQuestion& question,
                                        std::chrono::milliseconds wait) = 0;
  virtual Status SetGroupId(const std::string& worker, Incarnation incarnation,
                            Generation generation, const std::string& id) = 0;
  virtual Status AbortGroup(const std::string& worker, Incarnation incarnation,
                            Generation generation, const std::string& reason) = 0;
  // Waits up to `wait` until `generation` is over. True: it is.
  virtual Result<bool> AwaitGroupEnd(Incarnation incarnation, Generation generation,
                                     std::chrono::milliseconds wait) = 0;
  // One member's part of a commit, and (rank 0) the model after it. Applied together once all parts
  // are there. kConflict: the generation is over or the base is not what the server holds.
  virtual Result<GroupStepsReply> StageGroupSteps(const GroupSteps& steps) = 0;
  // Looks at a model before its body is read. kDuplicate: it is committed.
  virtual Result<UpdateOutcome> AdmitGroupModel(const GroupCommitHeader& header) const = 0;
  virtual Result<UpdateReply> StageGroupModel(const GroupCommitHeader& header,
                                              std::int64_t iterations,
                                              std::shared_ptr<FloatBuffer> parameters,
                                              std::vector<std::shared_ptr<FloatBuffer>> slots) = 0;
};

}  // namespace elephas
