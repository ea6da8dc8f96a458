// `elephas validate` and `elephas run`: what main() calls once the command line is understood.
#pragma once

#include "cli/options.h"

namespace elephas::cli {

// Both return the exit code and write to standard output and standard error.
int Validate(const Options& options);
int RunJob(const Options& options);

}  // namespace elephas::cli
