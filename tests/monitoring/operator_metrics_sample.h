// An operator's metrics in which everything has happened once, so that every series is there.
#pragma once

#include <chrono>

#include "operator/metrics.h"

namespace elephas {

inline void LetEverythingHappen(OperatorMetrics& metrics) {
  using Seconds = std::chrono::duration<double>;
  metrics.Leading(true);
  metrics.SetJobs({{"Running", 3}, {"Succeeded", 40}});
  for (const char* result : {"success", "retry", "error"}) {
    metrics.Reconciled(result, Seconds(0.004));
  }
  metrics.Replaced(Seconds(0.02));
  for (const char* verb : {"get", "list", "watch", "create", "apply", "apply-status", "delete"}) {
    metrics.CallEnded(verb, "Pod", 200, 0.003);
  }
  metrics.CallEnded("apply-status", "ElephasJob", 409, 0.003);
  metrics.WatchRestarted("Pod", false);
  metrics.WatchRestarted("ElephasJob", true);
  metrics.QueueDepth("jobs", 2);
  metrics.QueueLatency("jobs", 0.001);
  metrics.QueueRetry("jobs");
  // Not Panicked(): its series are there from the start, and a defect each second is an alert.
}

}  // namespace elephas
