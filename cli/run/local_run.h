// `elephas run`: a job as processes of this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/terminal/reporter.h"
#include "common/base/result.h"
#include "common/manifest/job_spec.h"

namespace elephas::cli {

struct LocalRunOptions {
  std::string base;                     // absolute folder that the manifest's paths start from
  std::string run_folder;               // empty: a temporary one
  bool resume = false;                  // go on from the run that was started last
  std::optional<double> lease_seconds;  // left out: the server's own default
  // Server i serves metrics on this port + i, workers on those that follow; left out: not served.
  std::optional<std::uint16_t> metrics_port;
  std::string resume_hint;  // see RunEnd
};

// Runs the job to its end and reports it. Returns the exit code. Takes over SIGINT, SIGTERM, SIGHUP
// and SIGCHLD of the process: call it once, from the main thread, before other threads exist. An
// error means that nothing was started.
Result<int> RunLocally(const ParsedManifest& manifest, const LocalRunOptions& options,
                       Reporter& reporter);

}  // namespace elephas::cli
