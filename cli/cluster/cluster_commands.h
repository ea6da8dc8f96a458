// The commands that talk to a cluster: submit, get, logs, delete.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <stop_token>
#include <string>

#include "cli/cluster/cluster_errors.h"
#include "cli/command_line/options.h"
#include "cli/terminal/reporter.h"
#include "common/base/clock.h"
#include "common/manifest/job_spec.h"
#include "kube/client.h"

namespace elephas::cli {

// What these commands work with. All of it outlives them.
struct Cluster {
  kube::Client& client;
  const RefusalKeeper& refusals;
  const Clock& clock;
  std::string ns;  // of commands that name none
  std::ostream& out;
  std::ostream& err;
  // Ctrl-C.
  std::stop_token stop = {};
  // Waits between two looks, or less when `stop` says so; for tests.
  std::function<void(std::chrono::milliseconds)> sleep = {};
};

// All return the exit code. `manifest` is valid, `document` is it as written.
int Submit(const Options& options, const ParsedManifest& manifest, nlohmann::json document,
           Reporter& reporter, const Cluster& cluster);
int GetJobs(const Options& options, const Cluster& cluster);
int PrintLogs(const Options& options, const Cluster& cluster);
int DeleteJob(const Options& options, const Cluster& cluster);

}  // namespace elephas::cli
