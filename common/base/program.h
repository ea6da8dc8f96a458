// What our programs agree on with whoever starts them (a shell, the kubelet, `elephas run`, each
// other): how they exit, which signals end them, and how a token reaches them. docs/errors.md has
// the exit codes for users.
#pragma once

#include <csignal>
#include <initializer_list>
#include <string>

#include "common/base/result.h"

namespace elephas {

inline constexpr int kExitSuccess = 0;  // of a worker: the job succeeded
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;       // the same arguments will not do better
inline constexpr int kExitJobFailed = 3;   // of a worker: the server holds the reason
inline constexpr int kExitBySignal = 128;  // plus the signal's number, as shells count

// These signals are blocked from here on, in the calling thread and in all that it starts later, so that
// sigwait() and its like receive them; returns them as a set. Call before the first thread starts.
// SIGPIPE is ignored: a write to a closed connection fails with EPIPE instead of ending the process.
sigset_t BlockSignals(std::initializer_list<int> signals);

// A bearer token out of a file: one line of 1 to 4096 visible ASCII characters. kInvalid for
// anything else, and the reader's errors where the file cannot be read.
Result<std::string> ReadToken(const std::string& path);

}  // namespace elephas
