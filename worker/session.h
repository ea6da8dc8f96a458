// One worker in one incarnation of the job: takes leases and does them, until the job ends or the
// incarnation is over.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/protocol/protocol.h"
#include "worker/device/step_graph.h"
#include "worker/exchange/job_client.h"
#include "worker/group/collective.h"
#include "worker/loaded_job.h"
#include "worker/metrics/work_meter.h"

namespace elephas {

struct SessionEnd {
  enum class Kind : std::uint8_t { kSucceeded, kFailed, kRejoin } kind = Kind::kRejoin;
  std::string message;  // why it failed, or why to join again
  bool worked = false;  // at least one task was done
};

// `client` speaks to server 0. Errors that no retry mends (bad data, NaN loss, a full disk) are
// told to the server and fail the job. Blocking.
// `collective` may be null: then all is exchanged by REST. So may `graphs`: then no step is
// recorded.
SessionEnd RunSession(LoadedJob& job, const JoinReply& joined, const std::string& uid,
                      const std::string& token, JobClient& client, WorkMeter& meter,
                      CollectiveProvider* collective, StepGraphProvider* graphs);

}  // namespace elephas
