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
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/names.h"
#include "common/base/program.h"
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

// The job fails with it. False: the server could not be told.
bool TellFailure(JobClient& client, const std::string& worker, std::string_view reason,
                 const std::string& message) {
  const Status told = client.Fail(worker, std::string(reason), message);
  if (told.ok()) return true;
  LogError("failure could not be told", {{"worker", worker}, {"message", told.message()}});
  return false;
}

// Should another job take the folder over, this one must end before the two mix their results.
Result<std::unique_ptr<OutputGuard>> ClaimOutput(const JobSpec& spec, const std::string& uid,
                                                 const WorkerOptions& options) {
  return OutputGuard::Claim(spec, uid, options.base, [&options](const Status& why) {
    LogError("the output folder is lost", {{"worker", options.name}, {"message", why.message()}});
    JobClient client(options.server, options.token);
    (void)TellFailure(client, options.name, names::kOutputInUse, why.message());
  });
}

// Nothing was trained yet. What lasts fails the job; else this worker ends and another one tries.
int CannotWrite(const Status& status, const WorkerOptions& options, JobClient& client) {
  LogError("the results could not be written",
           {{"worker", options.name}, {"message", status.message()}});
  const std::string_view reason = LastingOutputReason(status);
  if (reason.empty()) return kExitFailure;
  const bool told = TellFailure(client, options.name, reason, status.message());
  return told ? kExitJobFailed : kExitFailure;
}

// What the process computes with, opened once.
struct Equipment {
  Result<WorkerDevice> device;
  Result<std::unique_ptr<CollectiveProvider>> collective;
  Result<std::unique_ptr<StepGraphProvider>> graphs;
};

Equipment OpenEquipment(const JobSpec& spec, const std::string& worker) {
  Result<WorkerDevice> device = OpenDevice(spec.workers.device);
  if (device.ok()) {
    LogInfo("computing",
            {{"worker", worker}, {"message", "on " + device->name}, {"reason", device->why_cpu}});
    UsePrecision(spec.workers.precision);
  }
  const bool on_gpu = device.ok() && !device->device.is_cpu();
  Equipment equipment{std::move(device), OpenCollective(spec, on_gpu), OpenStepGraphs(on_gpu)};
  if (!equipment.graphs.ok()) {
    LogWarning("training steps are not recorded",
               {{"worker", worker}, {"reason", equipment.graphs.status().message()}});
  }
  return equipment;
}

// Sessions end without any work while another server than 0 starts again, for which there is as much
// patience as for server 0. Joining again without having done anything, in one incarnation, for
// longer than that says that joining does not help.
class RejoinPatience {
 public:
  explicit RejoinPatience(std::chrono::seconds limit) : limit_(limit) {}
  // Waits before the next try; false: there is no use in one.
  bool Wait(const SessionEnd& end, Incarnation incarnation) {
    const auto now = std::chrono::steady_clock::now();
    const bool new_start = end.worked || last_ != incarnation;
    last_ = incarnation;
    if (new_start) {
      in_vain_since_ = now;
      pause_ = kFirstPause;
      return true;
    }
    if (now - in_vain_since_ >= limit_) return false;
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(pause_ * 2, kLongestPause);
    return true;
  }

 private:
  std::chrono::seconds limit_;
  std::chrono::steady_clock::time_point in_vain_since_ = std::chrono::steady_clock::now();
  milliseconds pause_ = kFirstPause;
  Incarnation last_;
};

// One worker from its first join to its end. One thread.
class WorkerRun {
 public:
  WorkerRun(const WorkerOptions& options, const JobSpec& spec, std::string uid, JobClient& client,
            WorkMeter& meter)
      : options_(options),
        spec_(spec),
        uid_(std::move(uid)),
        client_(client),
        meter_(meter),
        equipment_(OpenEquipment(spec, options.name)) {}

  // Returns how to exit.
  int Run() {
    RejoinPatience patience(options_.server_timeout);
    for (;;) {
      const Result<JoinReply> joined = Join();
      if (!joined.ok()) {
        LogError("could not join",
                 {{"worker", options_.name}, {"message", joined.status().message()}});
        return kExitFailure;
      }
      meter_.CountJoin();
      const Heartbeat heartbeat(options_.server, options_.token, *joined);
      if (!joined->over) {
        if (Status loaded = Load(joined->seed); !loaded.ok()) return CannotRun(loaded);
        if (Status claimed = Claim(); !claimed.ok()) return CannotWrite(claimed, options_, client_);
      }
      const SessionEnd end = joined->over ? AskHowItEnded(*joined) : Work(*joined);
      if (end.kind != SessionEnd::Kind::kRejoin && output_ != nullptr) output_->Release();
      if (end.kind == SessionEnd::Kind::kSucceeded) return kExitSuccess;
      if (end.kind == SessionEnd::Kind::kFailed) {
        LogError("the job failed", {{"worker", options_.name}, {"message", end.message}});
        return kExitJobFailed;
      }
      LogInfo("joining again", {{"worker", options_.name}, {"reason", end.message}});
      if (!patience.Wait(end, joined->incarnation)) {
        LogError("giving up", {{"worker", options_.name}, {"message", end.message}});
        return kExitFailure;
      }
    }
  }

 private:
  Result<JoinReply> Join() {
    JobClient::Offer offer;
    if (equipment_.collective.ok()) {
      offer.collective = (*equipment_.collective)->name();
    } else {
      offer.why_none = equipment_.collective.status().message();
    }
    return Patiently(options_.server_timeout, [&] {
      StayAwayIfLeaving();
      return client_.Join(options_.name, offer);
    });
  }

  // Once for each seed: other servers may have drawn another.
  Status Load(std::uint64_t seed) {
    if (job_ != nullptr && job_->seed == seed) return OkStatus();
    if (!equipment_.device.ok()) return equipment_.device.status();
    if (spec_.transport == Transport::kNccl && !equipment_.collective.ok()) {
      return Invalid("spec.transport is nccl, but " + equipment_.collective.status().message());
    }
    ELEPHAS_ASSIGN_OR_RETURN(job_, LoadJob(spec_, options_.base, seed, equipment_.device->device));
    KeepMemory();  // not earlier: what loading needed for a moment should go back
    return OkStatus();
  }

  Status Claim() {
    if (output_ != nullptr) return OkStatus();
    ELEPHAS_ASSIGN_OR_RETURN(output_, ClaimOutput(spec_, uid_, options_));
    return OkStatus();
  }

  // For a worker that comes when all is done: it touches neither the data nor the output folder,
  // which may be another job's by now.
  SessionEnd AskHowItEnded(const JoinReply& joined) {
    const Result<LeaseReply> reply =
        client_.AcquireLease(joined.worker, joined.incarnation, milliseconds(0), false);
    if (!reply.ok()) return {SessionEnd::Kind::kRejoin, reply.status().message()};
    if (reply->state == LeaseReply::State::kSucceeded) return {SessionEnd::Kind::kSucceeded, ""};
    if (reply->state == LeaseReply::State::kFailed) {
      return {SessionEnd::Kind::kFailed, reply->message};
    }
    return {SessionEnd::Kind::kRejoin, "the job goes on"};
  }

  int CannotRun(const Status& why) {
    LogError("the job cannot run", {{"worker", options_.name}, {"message", why.message()}});
    (void)TellFailure(client_, options_.name, "InvalidJob", why.message());
    return kExitJobFailed;
  }

  SessionEnd Work(const JoinReply& joined) {
    return RunSession(*job_, joined, uid_, options_.token, client_, meter_,
                      equipment_.collective.ok() ? equipment_.collective->get() : nullptr,
                      equipment_.graphs.ok() ? equipment_.graphs->get() : nullptr);
  }

  const WorkerOptions& options_;
  const JobSpec& spec_;
  const std::string uid_;
  JobClient& client_;
  WorkMeter& meter_;
  Equipment equipment_;
  std::unique_ptr<LoadedJob> job_;
  std::unique_ptr<OutputGuard> output_;
};

int Work(const WorkerOptions& options) {
  JobClient client(options.server, options.token);
  std::string uid;
  const Result<JobSpec> spec = FetchSpec(client, options.server_timeout, uid);
  if (!spec.ok()) {
    LogError("the job could not be read",
             {{"worker", options.name}, {"message", spec.status().message()}});
    return kExitFailure;
  }
  const Status log = InitLog({.role = "worker", .job = spec->name});
  if (!log.ok()) return kExitUsage;  // cannot be: Main() has tried
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
      return kExitUsage;
    }
    metrics = *std::move(server);
    LogInfo("serving metrics", {{"worker", options.name}, {"port", metrics->port()}});
  }
  at::set_num_threads(static_cast<int>(spec->workers.threads));
  return WorkerRun(options, *spec, std::move(uid), client, meter).Run();
}

// For scripts: is there a GPU that works, and if not, why.
int ProbeDevice() {
  const Result<WorkerDevice> device = OpenDevice(Device::kCuda);
  if (!device.ok()) {
    std::cerr << device.status().message() << "\n";
    return kExitFailure;
  }
  std::cout << device->name << "\n";
  return kExitSuccess;
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
    return app.exit(error) == 0 ? kExitSuccess : kExitUsage;
  }
  const Status log = InitLog({.role = "worker"});
  if (!log.ok()) {
    LogError("bad usage", {{"message", log.message()}});
    return kExitUsage;
  }
  Result<std::string> token = ReadToken(token_file);
  if (!token.ok()) {
    LogError("the token cannot be read", {{"message", token.status().message()}});
    return kExitUsage;
  }
  options.token = *std::move(token);
  LeaveOnSignal(options.server, options.token, options.name);
  return Work(options);
}

}  // namespace
}  // namespace elephas

int main(int argc, char** argv) { return elephas::Main(argc, argv); }
