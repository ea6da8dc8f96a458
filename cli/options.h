// The command line of `elephas`.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <variant>
#include <vector>

#include "common/job_spec.h"

namespace elephas::cli {

struct Options {
  enum class Command : std::uint8_t { kRun, kValidate } command = Command::kRun;
  std::string manifest;  // a path, or "-" for standard input
  std::vector<ManifestOverride> overrides;
  bool json = false, quiet = false, resume = false;
  std::string run_folder;
  std::optional<double> lease_seconds;
  std::optional<std::uint16_t> metrics_port;
};

// The options, or the exit code of a command line that is answered already: help, the version, or a
// mistake that has been explained on `err`.
std::variant<Options, int> ParseCommandLine(int argc, const char* const* argv, std::ostream& out,
                                            std::ostream& err);

}  // namespace elephas::cli
