// A parameter server's metrics as Prometheus sees them.
#pragma once

#include <span>
#include <string>

#include "common/manifest/job_spec.h"
#include "common/telemetry/metrics_page.h"
#include "paramserver/job/job_counters.h"
#include "paramserver/rest/rest_metrics.h"

namespace elephas::rest {

std::span<const MetricInfo> ServerMetricTable();

struct ServerIdentity {
  const JobSpec& spec;
  std::string uid;
  std::int64_t server_index = 0;
};
std::string ServerMetricsText(const ServerIdentity& server, bool ready, const JobSample& job,
                              const RestMetrics::Counts& rest);

}  // namespace elephas::rest
