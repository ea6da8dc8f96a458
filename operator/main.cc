// elephas-operator: runs the ElephasJobs of a cluster, or of some of its namespaces.
//
// Ends with 0 after SIGTERM or SIGINT, 2 for a bad command line, 1 for what fails later: no
// configuration of a cluster, a port in use, the Lease lost.
#include <malloc.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/program.h"
#include "common/http/server.h"
#include "kube/event_recorder.h"
#include "kube/guard.h"
#include "kube/leader_election.h"
#include "kube/rest/rest_client.h"
#include "operator/controller.h"
#include "operator/crd/crd.h"
#include "operator/crd/yaml_text.h"
#include "operator/flags.h"
#include "operator/metrics.h"

namespace elephas {
namespace {

constexpr std::chrono::seconds kGrace{5};
// What of the API server's answers is in memory at once. An object in etcd has 1.5 MiB; a manifest
// that a Secret can hold, 1. A page of large objects is asked for again in smaller ones.
constexpr kube::ClientBounds kClientBounds{
    .object = {.bytes = 1'200'000, .depth = 100, .nodes = 150'000},
    .answer_bytes = std::size_t{8} << 20,
    .watch_line_bytes = std::size_t{8} << 20};

// A large object's memory goes back to the system when it is freed: without this, glibc keeps that
// of every thread's own heap, and takes larger and larger blocks for worth keeping.
void ReturnMemory() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

int Complain(int exit_code, const std::string& message) {
  std::fprintf(stderr, "elephas-operator: %s\n", message.c_str());
  return exit_code;
}

// A pod's own account first; outside of a cluster, the user's.
Result<kube::RestConfig> FindCluster(const OperatorFlags& flags) {
  const kube::Environment environment = kube::ProcessEnvironment();
  if (flags.kubeconfig.empty()) {
    auto own = kube::InClusterConfig(environment);
    if (own.ok() || own.status().code() != Code::kNotFound) return own;
  }
  kube::KubeconfigOptions options;
  options.path = flags.kubeconfig;
  return kube::LoadKubeconfig(options, environment);
}

// One name for each start, so that a Lease left by a former one is not taken for ours.
std::string Identity(const OperatorFlags& flags) {
  char host[256] = "operator";
  if (flags.identity.empty()) (void)gethostname(host, sizeof host - 1);
  const SystemClock clock;
  return (flags.identity.empty() ? std::string(host) : flags.identity) + "-" +
         std::to_string(getpid()) + "-" + std::to_string(clock.UnixMillis());
}

// /healthz: the process answers. /readyz: it leads and knows what there is, or waits to lead.
HttpReply Answer(const HttpRequest& request, const Controller& controller, OperatorMetrics& metrics,
                 const std::atomic<bool>& leading) {
  HttpReply reply;
  reply.content_type = "text/plain; charset=utf-8";
  if (request.path() == "/metrics") {
    metrics.SetJobs(controller.JobsByState());
    reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    reply.body = metrics.Text();
  } else if (request.path() == "/healthz") {
    reply.body = "ok\n";
  } else if (request.path() == "/readyz") {
    const bool ready = !leading || controller.Synced();
    reply.status = ready ? 200 : 503;
    reply.body = ready ? "ok\n" : "the first lists are not complete yet\n";
  } else {
    reply.status = 404;
    reply.body = "there are /healthz, /readyz and /metrics\n";
  }
  return reply;
}

// Health and metrics, also while another operator leads.
Result<std::unique_ptr<HttpServer>> ServeHealth(const OperatorFlags& flags, Controller& controller,
                                                OperatorMetrics& metrics,
                                                const std::atomic<bool>& leading) {
  HttpServer::Options options;
  options.address = flags.address;
  options.port = flags.port;
  options.max_connections = 64;  // probes and monitors; each may be a thread
  options.progress_timeout = std::chrono::seconds(5);
  return HttpServer::Start(options, [&](HttpRequest& request) {
    auto reply = kube::Guarded(metrics, "http", request.path(), [&]() -> Result<HttpReply> {
      return Answer(request, controller, metrics, leading);
    });
    if (reply.ok()) return *std::move(reply);
    HttpReply failed;
    failed.status = 500;
    failed.content_type = "text/plain; charset=utf-8";
    failed.body = "internal error\n";
    return failed;
  });
}

// Runs the controller while this process holds the Lease. Ends by itself only when the Lease is
// lost: then another operator works already, `lost` is set, and SIGTERM ends this process, which
// starts again from nothing. The arguments must outlive the thread.
std::jthread Elect(const OperatorFlags& flags, kube::Client& client, const Clock& clock,
                   Controller& controller, OperatorMetrics& metrics, std::atomic<bool>& leading,
                   std::atomic<bool>& lost) {
  return std::jthread([&](const std::stop_token& stop) {
    kube::LeaderElector elector(
        client, clock,
        {.ns = flags.lease_namespace, .name = flags.lease_name, .identity = Identity(flags)},
        metrics);
    const auto lead = [&] {
      leading = true;
      LogInfo("leading", {{"lease", flags.lease_name}});
      controller.Start();
    };
    const auto asked = kube::Guarded(metrics, "lease", flags.lease_name, [&] {
      return Result<bool>(elector.Run(stop, lead, [&] { controller.Stop(); }));
    });
    if (asked.ok() && *asked) return;
    lost = true;
    kill(getpid(), SIGTERM);
  });
}

void AwaitSignal(const sigset_t& ends) {
  int signal = 0;
  while (sigwait(&ends, &signal) != 0) {
  }
}

int Run(const OperatorFlags& flags) {
  ReturnMemory();
  const sigset_t ends = BlockSignals({SIGTERM, SIGINT});
  if (Status log =
          InitLog({.role = "operator", .format = flags.log_format, .level = flags.log_level});
      !log.ok()) {
    return Complain(kExitUsage, log.message());
  }
  const SystemClock clock;
  OperatorMetrics metrics;
  const auto config = FindCluster(flags);
  if (!config.ok()) return Complain(kExitFailure, config.status().message());
  const auto client = kube::MakeRestClient(*config, kClientBounds, metrics);
  if (!client.ok()) return Complain(kExitFailure, client.status().message());

  kube::EventRecorder recorder(**client, clock, {.instance = flags.identity}, metrics);
  recorder.Start();
  Controller controller(
      {.client = **client,
       .metrics = metrics,
       .record =
           [&recorder](const Job& job, const JobEvent& event) {
             recorder.Record({kube::kElephasJob, {job.ns, job.name}, job.uid},
                             event.warning ? kube::EventType::kWarning : kube::EventType::kNormal,
                             event.reason, event.message);
           },
       .clock = clock},
      {.settings = flags.settings,
       .namespaces = flags.namespaces,
       .concurrency = flags.concurrency});
  std::atomic<bool> leading = !flags.leader_elect;

  auto server = ServeHealth(flags, controller, metrics, leading);
  if (!server.ok()) return Complain(kExitFailure, server.status().message());
  LogInfo("listening", {{"port", (*server)->port()}});

  std::jthread election;
  std::atomic<bool> lost = false;
  if (flags.leader_elect) {
    election = Elect(flags, **client, clock, controller, metrics, leading, lost);
  } else {
    metrics.Leading(true);
    controller.Start();
  }
  AwaitSignal(ends);
  LogInfo("stopping", {{"reason", lost ? "the Lease is lost" : "signal"}});
  if (election.joinable()) {
    election.request_stop();
    election.join();
  }
  controller.Stop();
  recorder.Stop();
  (*server)->Stop(kGrace);
  return lost ? Complain(kExitFailure, "the Lease is lost") : 0;
}

}  // namespace
}  // namespace elephas

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto flags = elephas::ParseOperatorFlags(argc, argv, exit_code);
  if (!flags) return exit_code;
  if (flags->print_crd) {
    std::fputs(elephas::YamlText(elephas::MakeCrd()).c_str(), stdout);
    return 0;
  }
  return elephas::Run(*flags);
}
