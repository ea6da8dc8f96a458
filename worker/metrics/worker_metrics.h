// A worker's metrics as Prometheus sees them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/base/result.h"
#include "common/http/server.h"
#include "common/telemetry/metrics_page.h"
#include "worker/metrics/device_probe.h"
#include "worker/metrics/work_meter.h"

namespace elephas {

std::span<const MetricInfo> WorkerMetricTable();

// Everything that the meter and the probe know now.
std::string WorkerMetricsText(const std::string& job, const std::string& worker,
                              const WorkMeter& meter, const DeviceProbe& devices);

// Serves /metrics and /healthz, without a token: they tell numbers, never data. All references must
// outlive the server.
Result<std::unique_ptr<HttpServer>> ServeWorkerMetrics(const std::string& address,
                                                       std::uint16_t port, const std::string& job,
                                                       const std::string& worker,
                                                       const WorkMeter& meter,
                                                       const DeviceProbe& devices);

}  // namespace elephas
