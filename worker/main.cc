// elephas-worker: joins a job's parameter server and does what it is leased, until the job ends.
//
// Exit codes: 0 the job succeeded, 3 the job failed (the server holds the reason), 2 bad usage, 1
// the server could not be reached or refused this worker, 143 after SIGTERM.
#include <ATen/Parallel.h>
#include <malloc.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/atomic_file.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/names.h"
#include "common/base/version.h"
#include "common/manifest/job_spec.h"
#include "worker/device/device.h"
#include "worker/device/step_graph.h"
#include "worker/exchange/heartbeat.h"
#include "worker/exchange/job_client.h"
#include "worker/group/collective_library.h"
#include "worker/loaded_job.h"
#include "worker/metrics/worker_metrics.h"
#include "worker/output_guard.h"
#include "worker/session.h"
#include "worker/termination.h"

namespace elephas {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr int kSucceeded = names::kWorkerJobSucceeded;
constexpr int kGaveUp = 1;
constexpr int kUsage = 2;
constexpr int kJobFailed = names::kWorkerJobFailed;

// Between tries of what a server that starts again cannot answer yet.
constexpr milliseconds kFirstPause{20};
constexpr milliseconds kLongestPause{1000};

struct WorkerOptions {
  std::string server;
  std::string name;
  std::string base = ".";
  std::string token;
  std::chrono::seconds server_timeout{300};
  std::string metrics_address = "0.0.0.0";
  std::optional<std::uint16_t> metrics_port;  // left out: metrics are not served
};

// Calls until it works, at most `timeout`, with growing pauses: a server that starts again needs a
// while.
template <typename Function>
auto Patiently(std::chrono::seconds timeout, Function&& call) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  auto pause = kFirstPause;
  for (;;) {
    auto result = call();
    if (result.ok() || !result.status().retryable() ||
        std::chrono::steady_clock::now() + pause > deadline) {
      return result;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

Result<JobSpec> FetchSpec(JobClient& client, std::chrono::seconds timeout, std::string& uid) {
  ELEPHAS_ASSIGN_OR_RETURN(const json reply, Patiently(timeout, [&] { return client.Job(); }));
  uid = reply.value("uid", "");
  ParsedManifest manifest = ParseManifestJson(reply.value("manifest", json()), "the server's job");
  if (!manifest.problems.empty()) return Invalid(ToString(manifest.problems.front()));
  return std::move(manifest.spec);
}

// Every batch allocates the same tensors and frees them again. By default glibc gives large ones
// back to the system at once, and each of their pages is faulted in and cleared anew for the next
// batch, which takes a third of the time of a small convolutional network. From now on this process
// keeps its memory: what one batch needed the next will need again. The first gigabyte may lie on
// huge pages, whose addresses the processor finds faster; none of it is used before it is needed.
void KeepMemory() {
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);  // never
  mallopt(M_TOP_PAD, 64 << 20);
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  constexpr std::size_t kHeap = std::size_t{1} << 30;
  // NOLINTBEGIN(cppcoreguidelines-no-malloc): it is the allocator that is being prepared
  void* const heap = std::malloc(kHeap);
  if (heap == nullptr) return;
  void* first = heap;
  std::size_t size = kHeap;
  // Where the kernel has none it is as it was.
  if (std::align(kHugePage, kHugePage, first, size) != nullptr) {
    (void)madvise(first, size, MADV_HUGEPAGE);
  }
  std::free(heap);
  // NOLINTEND(cppcoreguidelines-no-malloc)
#endif
}

// Should another job take the folder over, this one must end before the two mix their results.
Result<std::unique_ptr<OutputGuard>> ClaimOutput(const JobSpec& spec, const std::string& uid,
                                                 const WorkerOptions& options) {
  return OutputGuard::Claim(spec, uid, options.base, [&options](const Status& why) {
    LogError("the output folder is lost", {{"worker", options.name}, {"message", why.message()}});
    JobClient client(options.server, options.token);
    const Status told = client.Fail(options.name, std::string(names::kOutputInUse), why.message());
    if (!told.ok()) {
      LogError("failure could not be told",
               {{"worker", options.name}, {"message", told.message()}});
    }
  });
}

// Nothing was trained yet. What lasts fails the job; else this worker ends and another one tries.
int CannotWrite(const Status& status, const WorkerOptions& options, JobClient& client) {
  LogError("the results could not be written",
           {{"worker", options.name}, {"message", status.message()}});
  const std::string_view reason = LastingOutputReason(status);
  if (reason.empty()) return kGaveUp;
  const Status told = client.Fail(options.name, std::string(reason), status.message());
  if (!told.ok()) {
    LogError("failure could not be told", {{"worker", options.name}, {"message", told.message()}});
    return kGaveUp;
  }
  return kJobFailed;
}

int Work(const WorkerOptions& options) {
  JobClient client(options.server, options.token);
  std::string uid;
  const Result<JobSpec> spec = FetchSpec(client, options.server_timeout, uid);
  if (!spec.ok()) {
    LogError("the job could not be read",
             {{"worker", options.name}, {"message", spec.status().message()}});
    return kGaveUp;
  }
  const Status log = InitLog({.role = "worker", .job = spec->name});
  if (!log.ok()) return kUsage;  // cannot be: Main() has tried
  const SystemClock clock;
  WorkMeter meter(clock);
  std::optional<DeviceProbe> devices;  // opening the driver takes a while
  std::unique_ptr<HttpServer> metrics;
  if (options.metrics_port) {
    devices.emplace();
    auto server = ServeWorkerMetrics(options.metrics_address, *options.metrics_port, spec->name,
                                     options.name, meter, *devices);
    if (!server.ok()) {
      LogError("metrics cannot be served",
               {{"worker", options.name}, {"message", server.status().message()}});
      return kUsage;
    }
    metrics = *std::move(server);
    LogInfo("serving metrics", {{"worker", options.name}, {"port", metrics->port()}});
  }
  at::set_num_threads(static_cast<int>(spec->workers.threads));

  const Result<WorkerDevice> device = OpenDevice(spec->workers.device);
  if (device.ok()) {
    LogInfo(
        "computing",
        {{"worker", options.name}, {"message", "on " + device->name}, {"reason", device->why_cpu}});
    UsePrecision(spec->workers.precision);
  }
  const bool on_gpu = device.ok() && !device->device.is_cpu();
  Result<std::unique_ptr<CollectiveProvider>> collective = OpenCollective(*spec, on_gpu);
  const Result<std::unique_ptr<StepGraphProvider>> graphs = OpenStepGraphs(on_gpu);
  if (!graphs.ok()) {
    LogWarning("training steps are not recorded",
               {{"worker", options.name}, {"reason", graphs.status().message()}});
  }
  JobClient::Offer offer;
  if (collective.ok()) {
    offer.collective = (*collective)->name();
  } else {
    offer.why_none = collective.status().message();
  }

  std::unique_ptr<LoadedJob> job;
  std::unique_ptr<OutputGuard> output;
  // Joining again without having done anything, in one incarnation, says that joining does not
  // help: this worker's dataset is not the job's, say.
  Incarnation last(0);
  // Since then sessions end without any work: another server than 0 may be starting again, for which
  // there is as much patience as for server 0.
  auto in_vain_since = std::chrono::steady_clock::now();
  auto pause = kFirstPause;
  for (;;) {
    const Result<JoinReply> joined = Patiently(options.server_timeout, [&] {
      StayAwayIfLeaving();
      return client.Join(options.name, offer);
    });
    if (!joined.ok()) {
      LogError("could not join",
               {{"worker", options.name}, {"message", joined.status().message()}});
      return kGaveUp;
    }
    meter.CountJoin();
    const Heartbeat heartbeat(options.server, options.token, *joined);
    if (job == nullptr || job->seed != joined->seed) {
      Result<std::unique_ptr<LoadedJob>> loaded =
          !device.ok() ? device.status()
          : spec->transport == Transport::kNccl && !collective.ok()
              ? Invalid("spec.transport is nccl, but " + offer.why_none)
              : LoadJob(*spec, options.base, joined->seed, device->device);
      if (!loaded.ok()) {
        LogError("the job cannot run",
                 {{"worker", options.name}, {"message", loaded.status().message()}});
        const Status told = client.Fail(options.name, "InvalidJob", loaded.status().message());
        if (!told.ok()) {
          LogError("failure could not be told",
                   {{"worker", options.name}, {"message", told.message()}});
        }
        return kJobFailed;
      }
      job = *std::move(loaded);
      KeepMemory();  // not earlier: what loading needed for a moment should go back
    }
    if (output == nullptr) {
      Result<std::unique_ptr<OutputGuard>> claimed = ClaimOutput(*spec, uid, options);
      if (!claimed.ok()) return CannotWrite(claimed.status(), options, client);
      output = *std::move(claimed);
    }
    const SessionEnd end = RunSession(*job, *joined, uid, options.token, client, meter,
                                      collective.ok() ? collective->get() : nullptr,
                                      graphs.ok() ? graphs->get() : nullptr);
    if (end.kind != SessionEnd::Kind::kRejoin) output->Release();
    if (end.kind == SessionEnd::Kind::kSucceeded) return kSucceeded;
    if (end.kind == SessionEnd::Kind::kFailed) {
      LogError("the job failed", {{"worker", options.name}, {"message", end.message}});
      return kJobFailed;
    }
    LogInfo("joining again", {{"worker", options.name}, {"reason", end.message}});
    const auto now = std::chrono::steady_clock::now();
    if (end.worked || last != joined->incarnation) {
      in_vain_since = now;
      pause = kFirstPause;
    } else {
      if (now - in_vain_since >= options.server_timeout) {
        LogError("giving up", {{"worker", options.name}, {"message", end.message}});
        return kGaveUp;
      }
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, kLongestPause);
    }
    last = joined->incarnation;
  }
}

// For scripts: is there a GPU that works, and if not, why.
int ProbeDevice() {
  const Result<WorkerDevice> device = OpenDevice(Device::kCuda);
  if (!device.ok()) {
    std::cerr << device.status().message() << "\n";
    return kGaveUp;
  }
  std::cout << device->name << "\n";
  return kSucceeded;
}

int Main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, 1);  // what one thread frees another may use
  CLI::App app{"Trains, evaluates and predicts tasks of one ElephasJob.", "elephas-worker"};
  app.set_version_flag("--version", VersionLine("elephas-worker"));
  WorkerOptions options;
  std::string token_file;
  app.add_option("--server", options.server, "Base URL of parameter server 0")
      ->required()
      ->envname("ELEPHAS_SERVER");
  app.add_option("--name", options.name, "This worker's name, unique in the job")
      ->required()
      ->envname("ELEPHAS_WORKER_NAME");
  app.add_option("--base", options.base, "Folder that URIs without a scheme are relative to")
      ->envname("ELEPHAS_BASE");
  app.add_option("--token-file", token_file, "File with the job's bearer token")
      ->required()
      ->envname("ELEPHAS_TOKEN_FILE");
  app.add_option("--metrics-port", options.metrics_port,
                 "Port that serves /metrics, 0 for any free one; left out: none")
      ->envname("ELEPHAS_METRICS_PORT");
  app.add_option("--metrics-address", options.metrics_address, "Address that serves /metrics")
      ->capture_default_str()
      ->envname("ELEPHAS_METRICS_ADDRESS");
  bool probe = false;
  app.add_flag("--probe-device", probe, "Say which GPU a worker would use, and end");
  if (argc == 2 && std::string_view(argv[1]) == "--probe-device") return ProbeDevice();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSucceeded : kUsage;
  }
  const Status log = InitLog({.role = "worker"});
  if (!log.ok()) {
    LogError("bad usage", {{"message", log.message()}});
    return kUsage;
  }
  Result<std::string> token = ReadWholeFile(token_file, 4096);
  if (!token.ok()) {
    LogError("the token cannot be read", {{"message", token.status().message()}});
    return kUsage;
  }
  options.token = *std::move(token);
  while (!options.token.empty() && (options.token.back() == '\n' || options.token.back() == '\r')) {
    options.token.pop_back();
  }
  std::signal(SIGPIPE, SIG_IGN);
  LeaveOnSignal(options.server, options.token, options.name);
  return Work(options);
}

}  // namespace
}  // namespace elephas

int main(int argc, char** argv) { return elephas::Main(argc, argv); }
