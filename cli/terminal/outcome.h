// How a run ended, and what is told of it on the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/terminal/process_name.h"
#include "common/base/program.h"

namespace elephas::cli {

// To be told to the user; the start itself follows as StartProcess when its pause is over.
struct TellRestart {
  ProcessId process;
  Exit exit;
  std::int64_t attempt = 0, limit = 0;  // "(1 of 6)"
  friend bool operator==(const TellRestart&, const TellRestart&) = default;
};

// How the run ended. `reason` is one word ("BackoffLimitExceeded"), `message` what to tell a
// person.
struct Outcome {
  int exit_code = kExitFailure;
  std::string reason, message;
  std::optional<ProcessId> culprit;  // whose log says more
};

}  // namespace elephas::cli
