// Child processes of the supervisor.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "cli/terminal/process_name.h"
#include "common/base/result.h"

namespace elephas::cli {

struct Command {
  std::vector<std::string> arguments;    // the program's path first
  std::vector<std::string> environment;  // "NAME=value", in addition to our own, replacing ours
  std::string log_file;                  // stdout and stderr are appended to it
};

// Starts the program: in a process group of its own, so that Ctrl-C reaches only the supervisor,
// and killed by the kernel when the calling thread ends, so that it never outlives the supervisor.
// Call from the main thread. kInternal with the system's reason.
Result<pid_t> StartProgram(const Command& command);

// How the process ended; nullopt while it runs. Does not wait.
std::optional<Exit> Reap(pid_t pid);

}  // namespace elephas::cli
