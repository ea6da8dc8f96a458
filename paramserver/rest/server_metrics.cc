#include "paramserver/rest/server_metrics.h"

#include <array>

namespace elephas::rest {
namespace {

constexpr std::string_view kInfo = "elephas_paramserver_job_info";
constexpr std::string_view kState = "elephas_paramserver_state";
constexpr std::string_view kReady = "elephas_paramserver_ready";
constexpr std::string_view kIncarnation = "elephas_paramserver_incarnation";
constexpr std::string_view kParameters = "elephas_paramserver_parameters";
constexpr std::string_view kVersion = "elephas_paramserver_version";
constexpr std::string_view kRounds = "elephas_paramserver_rounds_total";
constexpr std::string_view kUpdates = "elephas_paramserver_updates_total";
constexpr std::string_view kStaleness = "elephas_paramserver_update_staleness_versions";
constexpr std::string_view kPush = "elephas_paramserver_push_seconds";
constexpr std::string_view kPull = "elephas_paramserver_pull_seconds";
constexpr std::string_view kEpoch = "elephas_paramserver_epoch";
constexpr std::string_view kEpochs = "elephas_paramserver_epochs";
constexpr std::string_view kEpochTime = "elephas_paramserver_epoch_duration_seconds";
constexpr std::string_view kProgress = "elephas_paramserver_progress_ratio";
constexpr std::string_view kExamples = "elephas_paramserver_examples_total";
constexpr std::string_view kRate = "elephas_paramserver_examples_per_second";
constexpr std::string_view kEpochMetric = "elephas_paramserver_epoch_metric";
constexpr std::string_view kRunningMetric = "elephas_paramserver_running_metric";
constexpr std::string_view kLeases = "elephas_paramserver_leases";
constexpr std::string_view kLeasesTotal = "elephas_paramserver_leases_total";
constexpr std::string_view kWorkers = "elephas_paramserver_workers";
constexpr std::string_view kJoins = "elephas_paramserver_worker_joins_total";
constexpr std::string_view kWorkerExamples = "elephas_paramserver_worker_examples_total";
constexpr std::string_view kWorkerSilence = "elephas_paramserver_worker_silence_seconds";
constexpr std::string_view kCheckpoints = "elephas_paramserver_checkpoints_total";
constexpr std::string_view kCheckpointTime = "elephas_paramserver_checkpoint_write_seconds";
constexpr std::string_view kCheckpointBytes = "elephas_paramserver_checkpoint_size_bytes";
constexpr std::string_view kCheckpointEpoch = "elephas_paramserver_checkpoint_epoch";
constexpr std::string_view kCheckpointStamp = "elephas_paramserver_checkpoint_timestamp_seconds";
constexpr std::string_view kRequests = "elephas_paramserver_http_requests_total";
constexpr std::string_view kReceived = "elephas_paramserver_http_received_bytes_total";
constexpr std::string_view kSent = "elephas_paramserver_http_sent_bytes_total";
constexpr std::string_view kInFlight = "elephas_paramserver_http_requests_in_flight";

constexpr std::array kTable{
    MetricInfo{kInfo, MetricType::kGauge, "", "uid, task, mode, frequency",
               "Always 1; says what kind of job this is."},
    MetricInfo{kState, MetricType::kGauge, "", "state",
               "1 for the job's state, 0 for the others: Initializing, Running, Finalizing, "
               "Succeeded, Failed."},
    MetricInfo{kReady, MetricType::kGauge, "", "",
               "1 when the server takes requests of workers, 0 while servers still agree."},
    MetricInfo{kIncarnation, MetricType::kGauge, "", "",
               "Grows with every restart of a parameter server."},
    MetricInfo{kParameters, MetricType::kGauge, "floats", "", "Parameters in this server's range."},
    MetricInfo{kVersion, MetricType::kGauge, "versions", "",
               "Updates (synchronous: rounds) in the parameters; goes back with a restart."},
    MetricInfo{kRounds, MetricType::kCounter, "rounds", "",
               "Rounds committed by this process (synchronous)."},
    MetricInfo{kUpdates, MetricType::kCounter, "updates", "outcome",
               "Updates received, by outcome: applied, duplicate (was applied before), refused."},
    MetricInfo{kStaleness, MetricType::kHistogram, "versions", "",
               "Staleness of applied updates: versions between the pull it is based on and the "
               "update."},
    MetricInfo{kPush, MetricType::kHistogram, "seconds", "",
               "Time to take in and apply an update, its body's arrival included."},
    MetricInfo{kPull, MetricType::kHistogram, "seconds", "",
               "Time until parameters are ready to be sent, waiting for a version included."},
    MetricInfo{kEpoch, MetricType::kGauge, "epochs", "", "Epochs that are complete."},
    MetricInfo{kEpochs, MetricType::kGauge, "epochs", "", "Epochs that the job trains."},
    MetricInfo{kEpochTime, MetricType::kGauge, "seconds", "", "What the last epoch took."},
    MetricInfo{kProgress, MetricType::kGauge, "ratio", "",
               "Share of the job's work that the ledger holds, 0 to 1."},
    MetricInfo{kExamples, MetricType::kCounter, "examples", "task",
               "Examples applied by this process, by kind of task."},
    MetricInfo{kRate, MetricType::kGauge, "examples/s", "",
               "Examples applied per second, over the last few seconds."},
    MetricInfo{kEpochMetric, MetricType::kGauge, "", "metric",
               "Loss and metrics of the last complete epoch; of validation with val_ before the "
               "name."},
    MetricInfo{kRunningMetric, MetricType::kGauge, "", "metric",
               "Loss and metrics of the open epoch so far."},
    MetricInfo{kLeases, MetricType::kGauge, "leases", "", "Leases held now (server 0)."},
    MetricInfo{kLeasesTotal, MetricType::kCounter, "leases", "outcome",
               "Leases, by outcome: granted, finished, expired (the worker fell silent), voided "
               "(given back, or worker or server started again) (server 0)."},
    MetricInfo{kWorkers, MetricType::kGauge, "workers", "state",
               "Workers, by state: Working, Idle, Lost (server 0)."},
    MetricInfo{kJoins, MetricType::kCounter, "joins", "",
               "Times that a worker joined, after it was started again too (server 0)."},
    MetricInfo{kWorkerExamples, MetricType::kCounter, "examples", "worker",
               "Examples of a worker that were applied; ends when it leaves (server 0)."},
    MetricInfo{kWorkerSilence, MetricType::kGauge, "seconds", "worker",
               "Time since a worker's last sign of life; ends when it leaves (server 0)."},
    MetricInfo{kCheckpoints, MetricType::kCounter, "checkpoints", "outcome",
               "Checkpoints, by outcome: written, failed."},
    MetricInfo{kCheckpointTime, MetricType::kHistogram, "seconds", "",
               "Time to write a checkpoint; training goes on meanwhile."},
    MetricInfo{kCheckpointBytes, MetricType::kGauge, "bytes", "", "Size of the newest checkpoint."},
    MetricInfo{kCheckpointEpoch, MetricType::kGauge, "epochs", "",
               "Trained epochs that the newest checkpoint holds, 0: there is none."},
    MetricInfo{kCheckpointStamp, MetricType::kGauge, "seconds", "",
               "What is younger would be trained again after a crash: when the newest checkpoint "
               "was written, or else this incarnation began, in seconds since 1970."},
    MetricInfo{kRequests, MetricType::kCounter, "requests", "method, route, code",
               "Requests answered."},
    MetricInfo{kReceived, MetricType::kCounter, "bytes", "route",
               "Body bytes that requests announced."},
    MetricInfo{kSent, MetricType::kCounter, "bytes", "route", "Body bytes of replies."},
    MetricInfo{kInFlight, MetricType::kGauge, "requests", "",
               "Requests that have no reply yet, waiting ones included."},
};

double Number(std::uint64_t value) { return static_cast<double>(value); }
double Number(std::int64_t value) { return static_cast<double>(value); }

void AddJob(MetricsPage& page, const JobSample& job) {
  for (const std::string_view state :
       {"Initializing", "Running", "Finalizing", "Succeeded", "Failed"}) {
    page.Add(kState, state == job.state ? 1 : 0, {{"state", state}});
  }
  page.Add(kIncarnation, Number(job.incarnation));
  page.Add(kParameters, Number(job.parameters));
  page.Add(kVersion, Number(job.version));
  page.Add(kRounds, Number(job.counters.rounds));
  page.Add(kStaleness, job.counters.staleness);
  page.Add(kEpoch, Number(job.epoch));
  page.Add(kEpochs, Number(job.epochs));
  if (job.last_epoch_seconds > 0) page.Add(kEpochTime, job.last_epoch_seconds);
  page.Add(kProgress, job.progress);
  page.Add(kRate, job.examples_per_second);
  for (const auto& [kind, examples] : job.counters.examples) {
    page.Add(kExamples, Number(examples), {{"task", Word(kind)}});
  }
  for (const auto& [name, value] : job.epoch_metrics) {
    page.Add(kEpochMetric, value, {{"metric", name}});
  }
  for (const auto& [name, value] : job.running_metrics) {
    page.Add(kRunningMetric, value, {{"metric", name}});
  }
}

void AddWorkers(MetricsPage& page, const JobSample& job) {
  page.Add(kLeases, Number(job.leases));
  page.Add(kLeasesTotal, Number(job.counters.leases_granted), {{"outcome", "granted"}});
  page.Add(kLeasesTotal, Number(job.counters.leases_finished), {{"outcome", "finished"}});
  page.Add(kLeasesTotal, Number(job.counters.leases_expired), {{"outcome", "expired"}});
  page.Add(kLeasesTotal, Number(job.counters.leases_voided), {{"outcome", "voided"}});
  std::int64_t working = 0;
  for (const JobSample::Worker& worker : job.workers) {
    working += worker.busy ? 1 : 0;
    page.Add(kWorkerExamples, Number(worker.examples), {{"worker", worker.name}});
    page.Add(kWorkerSilence, worker.silent_seconds, {{"worker", worker.name}});
  }
  page.Add(kJoins, Number(job.counters.joins));
  page.Add(kWorkers, Number(working), {{"state", "Working"}});
  page.Add(kWorkers, Number(job.workers.size()) - Number(working), {{"state", "Idle"}});
  page.Add(kWorkers, Number(job.lost_workers), {{"state", "Lost"}});
}

void AddCheckpoints(MetricsPage& page, const CheckpointCounters& checkpoints) {
  page.Add(kCheckpoints, Number(checkpoints.written), {{"outcome", "written"}});
  page.Add(kCheckpoints, Number(checkpoints.failed), {{"outcome", "failed"}});
  page.Add(kCheckpointTime, checkpoints.write_seconds);
  if (checkpoints.bytes > 0) page.Add(kCheckpointBytes, Number(checkpoints.bytes));
  page.Add(kCheckpointEpoch, Number(checkpoints.epoch));
  page.Add(kCheckpointStamp, Number(checkpoints.unix_millis) / 1000);
}

void AddRest(MetricsPage& page, const RestMetrics::Counts& rest) {
  page.Add(kUpdates, Number(rest.updates_applied), {{"outcome", "applied"}});
  page.Add(kUpdates, Number(rest.updates_duplicate), {{"outcome", "duplicate"}});
  page.Add(kUpdates, Number(rest.updates_refused), {{"outcome", "refused"}});
  page.Add(kPush, rest.push_seconds);
  page.Add(kPull, rest.pull_seconds);
  for (const auto& [key, count] : rest.requests) {
    page.Add(kRequests, Number(count),
             {{"method", key.method}, {"route", key.route}, {"code", std::to_string(key.code)}});
  }
  for (const auto& [route, bytes] : rest.bytes) {
    page.Add(kReceived, Number(bytes.received), {{"route", route}});
    page.Add(kSent, Number(bytes.sent), {{"route", route}});
  }
  page.Add(kInFlight, Number(rest.in_flight));
}

}  // namespace

std::span<const MetricInfo> ServerMetricTable() { return kTable; }

std::string ServerMetricsText(const ServerIdentity& server, bool ready, const JobSample& job,
                              const RestMetrics::Counts& rest) {
  const JobSpec& spec = server.spec;
  MetricsPage page({ServerMetricTable(), ProcessMetricTable()},
                   {{"job", spec.name},
                    {"role", "paramserver"},
                    {"server", std::to_string(server.server_index)}});
  page.Add(kInfo, 1,
           {{"uid", server.uid},
            {"task", Word(spec.task)},
            {"mode", Word(spec.mode)},
            {"frequency", Word(spec.frequency)}});
  page.Add(kReady, ready ? 1 : 0);
  AddJob(page, job);
  if (server.server_index == 0) AddWorkers(page, job);
  if (job.checkpoints) AddCheckpoints(page, *job.checkpoints);
  AddRest(page, rest);
  AddProcessMetrics(page);
  return page.Text();
}

}  // namespace elephas::rest
