// What main() calls once the command line is understood.
#pragma once

#include "cli/command_line/options.h"

namespace elephas::cli {

// All return the exit code and write to standard output and standard error.
int Validate(const Options& options);
int RunJob(const Options& options);
// submit, get, logs, delete
int RunOnCluster(const Options& options);
// The one that options.command names.
int RunCommand(const Options& options);

}  // namespace elephas::cli
