#include "paramserver/server_flags.h"

#include <CLI/CLI.hpp>
#include <cmath>

#include "common/base/program.h"
#include "common/base/version.h"

namespace elephas {

namespace {

void AddJobFlags(CLI::App& app, ServerFlags& flags) {
  app.add_option("--job", flags.job_file, "the manifest (YAML or JSON)")
      ->required()
      ->envname("ELEPHAS_JOB_FILE");
  app.add_option("--uid", flags.uid,
                 "identity of the run, and name of its folder below spec.checkpoint.uri")
      ->required()
      ->envname("ELEPHAS_JOB_UID");
  app.add_option("--index", flags.index, "number of this server, from 0")
      ->check(CLI::NonNegativeNumber)
      ->envname("ELEPHAS_SERVER_INDEX");
  app.add_option("--base", flags.base, "folder that relative paths of the manifest start from")
      ->capture_default_str()
      ->envname("ELEPHAS_BASE");
  app.add_flag("--resume", flags.resume, "as spec.checkpoint.resume: latest")
      ->envname("ELEPHAS_RESUME");
  app.add_flag("--exit-when-done", flags.exit_when_done,
               "end when the job is over and its workers have been told")
      ->envname("ELEPHAS_EXIT_WHEN_DONE");
}

void AddNetworkFlags(CLI::App& app, ServerFlags& flags) {
  app.add_option("--address", flags.address, "address to listen on")
      ->capture_default_str()
      ->envname("ELEPHAS_ADDRESS");
  app.add_option("--port", flags.port, "port to listen on; 0: any free one")
      ->capture_default_str()
      ->envname("ELEPHAS_PORT");
  app.add_option("--port-file", flags.port_file, "file to write the port into, once listening");
  app.add_option("--metrics-port", flags.metrics_port,
                 "one more port, for /metrics, /healthz and /readyz alone; 0: any free one")
      ->envname("ELEPHAS_METRICS_PORT");
  app.add_option("--metrics-address", flags.metrics_address, "address of --metrics-port")
      ->capture_default_str()
      ->envname("ELEPHAS_METRICS_ADDRESS");
  app.add_option("--token-file", flags.token_file, "file that holds the job's bearer token")
      ->required()
      ->envname("ELEPHAS_TOKEN_FILE");
  app.add_option("--coordinator", flags.coordinator, "base URL of server 0; servers 1.. need it")
      ->envname("ELEPHAS_COORDINATOR");
  app.add_option("--url", flags.url, "base URL under which workers reach this server")
      ->envname("ELEPHAS_SERVER_URL");
}

// Lengths of time, in seconds as they stand on the command line.
struct Times {
  double lease = 15, group_patience = 3, group_commit = 5;
};

void AddTimes(CLI::App& app, Times& times) {
  app.add_option("--lease-seconds", times.lease, "how long a lease lasts without a sign of life")
      ->capture_default_str()
      ->check(CLI::Range(0.05, 86400.0))
      ->envname("ELEPHAS_LEASE_SECONDS");
  app.add_option("--group-patience-seconds", times.group_patience,
                 "how long workers that can form a group wait for the others")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 86400.0))
      ->envname("ELEPHAS_GROUP_PATIENCE_SECONDS");
  app.add_option("--group-commit-seconds", times.group_commit,
                 "about how often a group commits its rounds within an epoch")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 86400.0))
      ->envname("ELEPHAS_GROUP_COMMIT_SECONDS");
}

void AddLogFlags(CLI::App& app, ServerFlags& flags) {
  app.add_option("--termination-log", flags.termination_log,
                 "file that gets the job's last status, as JSON of at most 4096 bytes")
      ->envname("ELEPHAS_TERMINATION_LOG");
  app.add_option("--log-format", flags.log_format, "text or json (ELEPHAS_LOG_FORMAT)")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_option("--log-level", flags.log_level,
                 "debug, info, warning, error or off (ELEPHAS_LOG_LEVEL)")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
}

std::chrono::milliseconds Milliseconds(double seconds) {
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

}  // namespace

std::optional<ServerFlags> ParseServerFlags(int argc, char** argv, int& exit_code) {
  ServerFlags flags;
  Times times;
  CLI::App app("The parameter server of one ElephasJob.", "elephas-paramserver");
  app.set_version_flag("--version", VersionLine("elephas-paramserver"));
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  AddJobFlags(app, flags);
  AddNetworkFlags(app, flags);
  AddTimes(app, times);
  AddLogFlags(app, flags);
  try {
    app.parse(argc, argv);
    if (flags.uid.empty()) throw CLI::ValidationError("--uid", "must not be empty");
    if (flags.index > 0 && flags.coordinator.empty()) {
      throw CLI::ValidationError("--coordinator", "is needed by servers other than 0");
    }
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? kExitSuccess : kExitUsage;
    return std::nullopt;
  }
  flags.lease = Milliseconds(times.lease);
  flags.group_patience = Milliseconds(times.group_patience);
  flags.group_commit = Milliseconds(times.group_commit);
  return flags;
}

}  // namespace elephas
