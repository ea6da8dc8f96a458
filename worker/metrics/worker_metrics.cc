#include "worker/metrics/worker_metrics.h"

#include <array>

#include "common/http/reply.h"

namespace elephas {
namespace {

constexpr std::string_view kExamples = "elephas_worker_examples_total";
constexpr std::string_view kSteps = "elephas_worker_steps_total";
constexpr std::string_view kTasks = "elephas_worker_tasks_total";
constexpr std::string_view kStepTime = "elephas_worker_step_seconds";
constexpr std::string_view kOverlapped = "elephas_worker_overlapped_exchange_seconds";
constexpr std::string_view kWait = "elephas_worker_queue_wait_seconds";
constexpr std::string_view kReceived = "elephas_worker_received_bytes_total";
constexpr std::string_view kSent = "elephas_worker_sent_bytes_total";
constexpr std::string_view kErrors = "elephas_worker_exchange_errors_total";
constexpr std::string_view kJoins = "elephas_worker_joins_total";
constexpr std::string_view kMemoryUsed = "elephas_worker_device_memory_used_bytes";
constexpr std::string_view kMemory = "elephas_worker_device_memory_bytes";
constexpr std::string_view kUtilization = "elephas_worker_device_utilization_ratio";

constexpr std::array kTable{
    MetricInfo{
        kExamples, MetricType::kCounter, "examples", "task",
        "Examples that the worker has computed, those computed again after a loss included."},
    MetricInfo{kSteps, MetricType::kCounter, "steps", "task", "Batches computed."},
    MetricInfo{kTasks, MetricType::kCounter, "tasks", "task, outcome",
               "Leased tasks that the worker ended, by outcome: done or failed."},
    MetricInfo{kStepTime, MetricType::kHistogram, "seconds", "phase",
               "Where the training thread's time goes: data (rows gathered), compute (forward, "
               "backward, local optimizer step), exchange (pull and push that it waits for)."},
    MetricInfo{kOverlapped, MetricType::kHistogram, "seconds", "",
               "Pulls and pushes by the second thread, while the first one computes."},
    MetricInfo{kWait, MetricType::kHistogram, "seconds", "queue",
               "Waits of the training thread: lease (no task was free), ahead (the second thread "
               "had not finished its exchange)."},
    MetricInfo{kReceived, MetricType::kCounter, "bytes", "",
               "Bytes of parameters and slots pulled."},
    MetricInfo{kSent, MetricType::kCounter, "bytes", "", "Bytes of updates and slots pushed."},
    MetricInfo{kErrors, MetricType::kCounter, "exchanges", "",
               "Pulls and pushes that failed; most are tried again."},
    MetricInfo{kJoins, MetricType::kCounter, "joins", "",
               "Times that the worker joined the job: more than one after a server's restart."},
    MetricInfo{kMemoryUsed, MetricType::kGauge, "bytes", "device",
               "Memory of the device in use, by all processes. Absent without a CUDA device."},
    MetricInfo{kMemory, MetricType::kGauge, "bytes", "device",
               "Memory of the device. Absent without a CUDA device."},
    MetricInfo{kUtilization, MetricType::kGauge, "ratio", "device",
               "Share of the last sampling period in which the device computed, 0 to 1. Absent "
               "without a CUDA device."},
};

struct ActivitySeries {
  Activity activity;
  std::string_view name, label, value;
};
constexpr std::array<ActivitySeries, kActivities> kActivitySeries{{
    {Activity::kData, kStepTime, "phase", "data"},
    {Activity::kCompute, kStepTime, "phase", "compute"},
    {Activity::kExchange, kStepTime, "phase", "exchange"},
    {Activity::kLeaseWait, kWait, "queue", "lease"},
    {Activity::kAheadWait, kWait, "queue", "ahead"},
    {Activity::kOverlapped, kOverlapped, "", ""},
}};

}  // namespace

std::span<const MetricInfo> WorkerMetricTable() { return kTable; }

std::string WorkerMetricsText(const std::string& job, const std::string& worker,
                              const WorkMeter& meter, const DeviceProbe& devices) {
  MetricsPage page({WorkerMetricTable(), ProcessMetricTable()},
                   {{"job", job}, {"role", "worker"}, {"worker", worker}});
  const WorkMeter::Counts counts = meter.Read();
  for (const auto& [kind, work] : counts.kinds) {
    page.Add(kExamples, static_cast<double>(work.examples), {{"task", Word(kind)}});
    page.Add(kSteps, static_cast<double>(work.steps), {{"task", Word(kind)}});
    page.Add(kTasks, static_cast<double>(work.done), {{"task", Word(kind)}, {"outcome", "done"}});
    page.Add(kTasks, static_cast<double>(work.failed),
             {{"task", Word(kind)}, {"outcome", "failed"}});
  }
  for (const ActivitySeries& series : kActivitySeries) {
    const Histogram& histogram = counts.activities[static_cast<std::size_t>(series.activity)];
    if (series.label.empty()) {
      page.Add(series.name, histogram);
    } else {
      page.Add(series.name, histogram, {{series.label, series.value}});
    }
  }
  page.Add(kReceived, static_cast<double>(counts.received_bytes));
  page.Add(kSent, static_cast<double>(counts.sent_bytes));
  page.Add(kErrors, static_cast<double>(counts.exchange_errors));
  page.Add(kJoins, static_cast<double>(counts.joins));
  for (const DeviceProbe::Device& device : devices.Read()) {
    page.Add(kMemoryUsed, static_cast<double>(device.memory_used), {{"device", device.name}});
    page.Add(kMemory, static_cast<double>(device.memory), {{"device", device.name}});
    if (device.utilization) {
      page.Add(kUtilization, *device.utilization, {{"device", device.name}});
    }
  }
  AddProcessMetrics(page);
  return page.Text();
}

Result<std::unique_ptr<HttpServer>> ServeWorkerMetrics(const std::string& address,
                                                       std::uint16_t port, const std::string& job,
                                                       const std::string& worker,
                                                       const WorkMeter& meter,
                                                       const DeviceProbe& devices) {
  HttpServer::Options options;
  options.address = address;
  options.port = port;
  options.max_connections = 16;
  options.progress_timeout = std::chrono::seconds(5);  // of who asks and does not read
  return HttpServer::Start(options, [job, worker, &meter, &devices](HttpRequest& request) {
    HttpReply reply;
    if (request.method() != "GET" && request.method() != "HEAD") {
      reply = ErrorReply(405, Code::kInvalid, "the path allows only GET, HEAD");
      reply.headers.emplace_back("Allow", "GET, HEAD");
    } else if (request.path() == "/metrics") {
      reply.content_type = kMetricsContentType;
      reply.body = WorkerMetricsText(job, worker, meter, devices);
    } else if (request.path() == "/healthz") {
      reply.body = R"({"status":"ok"})";
    } else {
      reply = ErrorReply(404, Code::kNotFound, "there is no such path");
    }
    return reply;
  });
}

}  // namespace elephas
