// What workers ask of server 0: to take part, and what to work on.
//
// Errors that every call may give: kUnavailable while servers are still agreeing on an incarnation.
// Calls that name an incarnation give kConflict when it is not the current one (the REST reply then
// carries "incarnation"). Thread-safe, as the JobService behind it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/protocol.h"

namespace elephas {

class WorkerService {
 public:
  virtual ~WorkerService() = default;

  // A second join under a name voids the leases of the first: the process was started again.
  virtual Result<JoinReply> Join(const std::string& name) = 0;
  // Renews all leases of the worker. kNotFound: join again.
  virtual Status Heartbeat(const std::string& worker, Incarnation incarnation) = 0;
  // Gives its leases back at once.
  virtual Status Leave(const std::string& worker) = 0;
  // A failure that no retry mends (bad data, unknown layer, NaN loss): the job fails with it.
  virtual Status Fail(const std::string& worker, const std::string& reason,
                      const std::string& message) = 0;
  // After Join(): which collective the worker has, or (empty) why it has none.
  virtual Status OfferCollective(const std::string& worker, const std::string& collective,
                                 const std::string& why_none) = 0;

  // Blocks up to `wait` for a task. `prefetch`: one more beside the task that the worker has begun,
  // and only when no idle worker could take it. A worker therefore holds no lease when it asks
  // without, and at most one when it asks with `prefetch`; one that it holds all the same (the
  // reply that granted it was lost) is given to it again.
  virtual Result<LeaseReply> AcquireLease(const std::string& worker, Incarnation incarnation,
                                          std::chrono::milliseconds wait, bool prefetch) = 0;
  // For tasks without updates (validate, evaluate, predict, finalize). A repeat is kDuplicate.
  // `outputs`: finalize names the files it has written.
  virtual Result<UpdateOutcome> FinishTask(LeaseId lease, Incarnation incarnation,
                                           const TaskId& task, std::int64_t examples,
                                           const MetricSums& metrics,
                                           const std::vector<std::string>& outputs) = 0;
};

}  // namespace elephas
