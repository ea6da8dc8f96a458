// One job on one parameter server: store, ledger and, on server 0, the coordinator, behind one
// thread-safe interface. No sockets; time comes from a Clock. `RestHandler` is its HTTP edge.
//
// Each kind of caller sees the role that it needs, in a header of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "paramserver/job/group_service.h"
#include "paramserver/job/job_basics.h"
#include "paramserver/job/parameter_service.h"
#include "paramserver/job/peer_service.h"
#include "paramserver/job/update_service.h"
#include "paramserver/job/watch_service.h"
#include "paramserver/job/worker_service.h"

namespace elephas {

struct JobServiceOptions {
  std::string uid;  // the run's identity, and the name of its folder below checkpoint_folder
  Resume resume = Resume::kOwn;
  std::int64_t server_index = 0;
  std::string checkpoint_folder;  // empty: no checkpoints
  std::chrono::milliseconds lease_duration{15000};
  std::int64_t max_parameters = std::int64_t{1} << 34;  // elements a layout may ask for
  // Groups: how long who waits does so for the others, and the time between two commits.
  std::chrono::milliseconds group_patience{3000};
  std::chrono::milliseconds group_commit{5000};
};

class JobService : public JobBasics,
                   public WorkerService,
                   public ParameterService,
                   public UpdateService,
                   public GroupService,
                   public PeerService,
                   public WatchService {
 public:
  // Loads the newest checkpoint that may be continued, where there is one. Of the checkpoint
  // folder: kForbidden when it cannot be written and will not be, kUnavailable when it may be
  // later; kGone when all of the job's checkpoints are damaged; kNotFound when it is to resume and
  // none fits. `clock` must outlive the service.
  static Result<std::unique_ptr<JobService>> Create(JobSpec spec, JobServiceOptions options,
                                                    const Clock& clock);

  // Wakes every waiting call, which then answers kUnavailable; writes the last checkpoint down.
  virtual void Shutdown() = 0;
};

}  // namespace elephas
