// elephas-paramserver: the parameter server of one job.
//
// Ends with 0 after SIGTERM or SIGINT, or with --exit-when-done when the job is over (whether it
// succeeded is in the termination log), 2 for a bad command line or manifest, 1 for what fails
// later (a port in use, a checkpoint folder that cannot be used or holds damaged files only). A
// server that another process has taken over ends with 1 too, but with 0 under --exit-when-done.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "common/base/atomic_file.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/names.h"
#include "common/base/own_file.h"
#include "common/base/program.h"
#include "common/http/reply.h"
#include "common/http/server.h"
#include "common/manifest/job_spec.h"
#include "paramserver/exit_when_done.h"
#include "paramserver/job/job_service.h"
#include "paramserver/peer_client.h"
#include "paramserver/rest/handler.h"
#include "paramserver/server_flags.h"

namespace elephas {
namespace {

constexpr std::chrono::seconds kGrace{10};

int Complain(int exit_code, const std::string& message) {
  // In a pod this is a line of the log like all others.
  const char* format = std::getenv("ELEPHAS_LOG_FORMAT");
  if (format != nullptr && std::string_view(format) == "json") {
    LogError("cannot serve", {{"message", message}});
  } else {
    std::fprintf(stderr, "elephas-paramserver: %s\n", message.c_str());
  }
  return exit_code;
}

int Complain(const Status& status) {
  return Complain(status.code() == Code::kInvalid ? kExitUsage : kExitFailure, status.message());
}

// Not aside and renamed: the file is one that the kubelet holds.
Status WriteTerminationText(const std::string& path, std::string_view text) {
  ELEPHAS_ASSIGN_OR_RETURN(const int fd, OpenOwnFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  // So few bytes go into a file at once, or not at all.
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const Status status = written ? OkStatus() : Internal(path + ": " + std::strerror(errno));
  ::close(fd);
  return status;
}

void WriteTerminationLog(const ServerFlags& flags, const nlohmann::json& status) {
  if (flags.termination_log.empty()) return;
  const Status written = WriteTerminationText(flags.termination_log, TerminationMessage(status));
  if (written.ok()) return;
  LogWarning("the termination log cannot be written",
             {{"path", flags.termination_log}, {"message", written.message()}});
}

// The word for a folder that no further try will mend; empty: another try may.
std::string_view LastingReason(const Status& status) {
  switch (status.code()) {
    case Code::kForbidden:
      return names::kCheckpointNotWritable;
    case Code::kGone:
      return names::kCheckpointsDamaged;
    case Code::kNotFound:
      return names::kResumeFailed;
    default:
      return "";
  }
}

// No service, so no job: what lasts is said in the termination log too, where the operator reads
// that it need not try again.
int CannotStart(const ServerFlags& flags, const Status& status) {
  const std::string_view reason = LastingReason(status);
  if (reason.empty()) return Complain(status);
  WriteTerminationLog(
      flags, {{"state", "Failed"}, {"reason", std::string(reason)}, {"message", status.message()}});
  std::string message(reason);
  message.append(": ").append(status.message());
  return Complain(kExitFailure, message);
}

Result<ParsedManifest> LoadJob(const ServerFlags& flags) {
  constexpr std::uint64_t kMaxManifest = std::uint64_t{64} << 20;  // an inline model may be long
  ELEPHAS_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(flags.job_file, kMaxManifest));
  ParsedManifest manifest = ParseManifest(text, flags.job_file);
  std::string problems;
  for (const ManifestProblem& problem : manifest.problems) {
    problems.append(problems.empty() ? "" : "\n").append(ToString(problem));
  }
  if (!problems.empty()) return Invalid(problems);
  const std::int64_t servers = manifest.spec.parameter_servers.replicas;
  if (flags.index >= servers) {
    return Invalid("--index " + std::to_string(flags.index) + ": the job has servers 0 to " +
                   std::to_string(servers - 1));
  }
  return manifest;
}

Result<std::unique_ptr<JobService>> CreateService(const JobSpec& spec, const ServerFlags& flags,
                                                  const Clock& clock) {
  JobServiceOptions options;
  options.uid = flags.uid;
  if (spec.checkpoint) options.resume = spec.checkpoint->resume;
  if (flags.resume) options.resume = Resume::kLatest;
  options.server_index = flags.index;
  options.lease_duration = flags.lease;
  options.group_patience = flags.group_patience;
  options.group_commit = flags.group_commit;
  if (spec.checkpoint) {
    ELEPHAS_ASSIGN_OR_RETURN(options.checkpoint_folder,
                             ResolveUri(spec.checkpoint->uri, flags.base));
  }
  return JobService::Create(spec, std::move(options), clock);
}

// Serves what needs no token on a port of its own, so that a network policy can open it to a
// monitor without opening the job's. No server when there is no such port.
Result<std::unique_ptr<HttpServer>> ServeMetrics(const ServerFlags& flags, RestHandler& handler) {
  if (!flags.metrics_port) return std::unique_ptr<HttpServer>();
  HttpServer::Options options;
  options.address = flags.metrics_address;
  options.port = *flags.metrics_port;
  options.max_connections = 16;
  options.progress_timeout = std::chrono::seconds(5);  // of who asks and does not read
  auto server = HttpServer::Start(options, [&handler](HttpRequest& request) {
    const std::string_view path = request.path();
    if (path == "/metrics" || path == "/healthz" || path == "/readyz") {
      return handler.Handle(request);
    }
    return ErrorReply(404, Code::kNotFound, "there is no such path");
  });
  if (server.ok()) LogInfo("serving metrics", {{"port", (*server)->port()}});
  return server;
}

// Without --url: where a worker on this machine reaches the server.
std::string OwnUrl(const ServerFlags& flags, std::uint16_t port) {
  if (!flags.url.empty()) return flags.url;
  const bool any = flags.address == "0.0.0.0" || flags.address == "::";
  return "http://" + (any ? "127.0.0.1" : flags.address) + ":" + std::to_string(port);
}

// Shells and container runtimes often start programs with 1,024 descriptors, fewer than the
// connections that the HTTP server takes. Failing is fine: it then takes fewer.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// Returns how to exit.
int AwaitEnd(const sigset_t& ends, const ServerFlags& flags, const std::string& token,
             JobService& service) {
  DoneWatch watch(service, {.coordinator_url = flags.index > 0 ? flags.coordinator : "",
                            .token = token,
                            .servers = service.spec().parameter_servers.replicas});
  constexpr timespec kLook{0, 100'000'000};
  while (!flags.exit_when_done || !watch.Done()) {
    if (const int signal = sigtimedwait(&ends, nullptr, &kLook); signal > 0) {
      LogInfo("stopping", {{"signal", signal}});
      return 0;
    }
    if (service.Fenced()) {
      LogError("stopping", {{"reason", "another process has taken over this server"}});
      // In a pod a failure would start it again, and it would take over in its turn.
      return flags.exit_when_done ? 0 : kExitFailure;
    }
  }
  LogInfo("stopping", {{"reason", "the job is over"}});
  return 0;
}

nlohmann::json LastStatus(JobService& service) {
  nlohmann::json status = service.StatusJson();
  if (const auto fenced = service.Fenced()) {
    status["state"] = status["reason"] = std::string(names::kFenced);
    status["message"] = *fenced;
  }
  return status;
}

// Serves until the end; returns how to exit.
int ServeJob(const ServerFlags& flags, const ParsedManifest& manifest, const std::string& token,
             const sigset_t& ends) {
  const SystemClock clock;
  auto service = CreateService(manifest.spec, flags, clock);
  if (!service.ok()) return CannotStart(flags, service.status());
  RestHandler handler(**service, {.token = token,
                                  .manifest = manifest.document,
                                  .uid = flags.uid,
                                  .server_index = flags.index});
  HttpServer::Options http;
  http.address = flags.address;
  http.port = flags.port;
  // Who joins is told the servers' addresses, and ours may be known only once the port is.
  std::atomic<bool> addressed = false;
  auto server = HttpServer::Start(http, [&](HttpRequest& request) {
    return addressed ? handler.Handle(request)
                     : ErrorReply(503, Code::kUnavailable, "the server is starting");
  });
  if (!server.ok()) return Complain(server.status());
  auto metrics = ServeMetrics(flags, handler);
  if (!metrics.ok()) return Complain(metrics.status());

  const std::uint16_t port = (*server)->port();
  const std::string url = OwnUrl(flags, port);
  (*service)->SetOwnUrl(url);
  addressed = true;
  std::unique_ptr<PeerClient> peer;
  if (flags.index > 0) {
    peer = std::make_unique<PeerClient>(**service,
                                        PeerClient::Options{.coordinator_url = flags.coordinator,
                                                            .token = token,
                                                            .index = flags.index,
                                                            .own_url = url});
  }
  LogInfo("listening", {{"port", port}, {"server", flags.index}, {"uid", flags.uid}});
  if (!flags.port_file.empty()) {
    const Status told = WriteWholeFile(flags.port_file, std::to_string(port) + "\n");
    if (!told.ok()) return Complain(kExitFailure, told.message());
  }

  const int exit_code = AwaitEnd(ends, flags, token, **service);
  WriteTerminationLog(flags, LastStatus(**service));
  (*service)->Shutdown();  // first: it wakes the requests that wait, so that they can be answered
  if (peer) peer->Stop();
  if (*metrics) (*metrics)->Stop(kGrace);
  (*server)->Stop(kGrace);
  return exit_code;
}

int Serve(const ServerFlags& flags) {
  const sigset_t ends = BlockSignals({SIGTERM, SIGINT});
  RaiseDescriptorLimit();
  LogOptions log{.role = "paramserver", .format = flags.log_format, .level = flags.log_level};
  if (Status status = InitLog(log); !status.ok()) return Complain(kExitUsage, status.message());
  const auto manifest = LoadJob(flags);
  if (!manifest.ok()) return Complain(kExitUsage, manifest.status().message());
  const auto token = ReadToken(flags.token_file);
  if (!token.ok()) return Complain(kExitUsage, token.status().message());
  log.job = manifest->spec.name;
  if (Status status = InitLog(log); !status.ok()) return Complain(kExitUsage, status.message());
  return ServeJob(flags, *manifest, *token, ends);
}

}  // namespace
}  // namespace elephas

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto flags = elephas::ParseServerFlags(argc, argv, exit_code);
  return flags ? elephas::Serve(*flags) : exit_code;
}
