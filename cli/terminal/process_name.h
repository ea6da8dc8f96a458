// Which process of a local run is meant, and what became of one.
#pragma once

#include <cstdint>
#include <string>

namespace elephas::cli {

enum class Role : std::uint8_t { kServer, kWorker };

struct ProcessId {
  Role role = Role::kWorker;
  int index = 0;
  friend auto operator<=>(const ProcessId&, const ProcessId&) = default;
};
// "worker-1", "paramserver-0": in messages and as the name of its log file.
std::string ToString(const ProcessId& process);

// How a process ended: by itself with `code`, or killed by `signal` when that is not 0.
struct Exit {
  int code = 0;
  int signal = 0;
  friend bool operator==(const Exit&, const Exit&) = default;
};
// "exited with code 1", "was killed by signal 9 (SIGKILL)".
std::string ToString(const Exit& exit);
// "SIGTERM"; "signal 99" where the system has no name.
std::string SignalName(int signal);

}  // namespace elephas::cli
