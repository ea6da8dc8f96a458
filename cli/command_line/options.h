// The command line of `elephas`.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <variant>
#include <vector>

#include "common/manifest/job_spec.h"

namespace elephas::cli {

struct Options {
  enum class Command : std::uint8_t { kRun, kValidate, kSubmit, kGet, kLogs, kDelete };
  Command command = Command::kRun;

  // run, validate, submit
  std::string manifest;  // a path, or "-" for standard input
  std::vector<ManifestOverride> overrides;
  bool json = false, quiet = false;

  // validate
  bool for_cluster = false;

  // run
  bool resume = false;
  std::string run_folder;
  std::optional<double> lease_seconds;
  std::optional<std::uint16_t> metrics_port;

  // submit, get, logs, delete
  struct Cluster {
    std::string kubeconfig, context, cluster, user, ns;  // empty: as the kubeconfig says
  } cluster;
  bool follow = false;  // submit, logs
  // submit
  bool force_conflicts = false;
  // get, logs (one), delete: names of jobs
  std::vector<std::string> names;
  // get
  std::string output;  // "", wide, name, json, yaml
  std::string selector;
  bool all_namespaces = false;
  // logs
  std::string role;  // "", worker, paramserver
  std::optional<std::int64_t> index, tail;
  bool previous = false, timestamps = false;
  // delete
  bool wait = false, ignore_not_found = false;
};

// The options, or the exit code of a command line that is answered already: help, the version, or a
// mistake that has been explained on `err`.
std::variant<Options, int> ParseCommandLine(int argc, const char* const* argv, std::ostream& out,
                                            std::ostream& err);

}  // namespace elephas::cli
