// How a run ended, and what is told of it on the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/terminal/process_name.h"

namespace elephas::cli {

// Exit codes of `elephas run`.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 128;  // plus the signal's number

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
  int exit_code = kExitFailed;
  std::string reason, message;
  std::optional<ProcessId> culprit;  // whose log says more
};

}  // namespace elephas::cli
