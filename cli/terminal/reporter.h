// What a person or a program sees of a run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "cli/terminal/outcome.h"

namespace elephas::cli {

struct RunInfo {
  std::string job, uid, task, mode, frequency;
  std::int64_t servers = 1, workers = 1;
  std::string folder;  // logs are in it
};

// Where a run can be watched.
struct RunAddresses {
  std::string page;        // "http://127.0.0.1:4000/", to be opened with "#token=…" behind it
  std::string token;       // of this run
  std::string token_file;  // where it is, for this user alone, until the run ends
  // For Prometheus, "host:port", servers first; empty: metrics are not served.
  std::vector<std::string> metrics;
};

struct RunEnd {
  Outcome outcome = {};
  nlohmann::json status = {};  // the last one; null when there was none
  double seconds = 0;
  std::vector<std::string> log_tail = {};  // of outcome.culprit
  std::string log_file = {};               // that these are from
  std::string kept_folder = {};            // empty when the run's folder is gone
  std::string resume_hint = {};            // a command that goes on from a checkpoint; empty: none
};

// Called from one thread. Writing never fails the run: a closed pipe only ends the report.
class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void Started(const RunInfo& info) = 0;
  // Once, when server 0 listens. Only a person at a terminal is shown the token: lines and events
  // end in files and in the logs of a CI. A program reads it from the file.
  virtual void Serving(const RunAddresses& addresses) = 0;
  virtual void Progress(const nlohmann::json& status) = 0;
  virtual void Restarting(const TellRestart& restart) = 0;
  // What a job on a cluster waits for, or does: a condition's reason and message.
  virtual void Note(const std::string& reason, const std::string& message) = 0;
  virtual void Stopping(int signal) = 0;
  virtual void Ended(const RunEnd& end) = 0;
};

enum class ReportStyle : std::uint8_t {
  kTerminal,  // a live line, finished epochs above it
  kPlain,     // a line per finished epoch and event
  kQuiet,     // only the end
  kJson,      // one JSON object per line
};

struct ReporterOptions {
  ReportStyle style = ReportStyle::kPlain;
  bool colour = false;
  std::function<std::size_t()> width;  // of the terminal, asked again for every line
};

// Failures go to `err` in every style. The streams must outlive the reporter.
std::unique_ptr<Reporter> MakeReporter(ReporterOptions options, std::ostream& out,
                                       std::ostream& err);

// "worker-1 was killed by signal 9 (SIGKILL); starting it again (1 of 6)"
std::string RestartText(const TellRestart& restart);

}  // namespace elephas::cli
