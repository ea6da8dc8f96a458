#include "cli/terminal/process_name.h"

#include <cstring>

namespace elephas::cli {

std::string ToString(const ProcessId& process) {
  return (process.role == Role::kServer ? "paramserver-" : "worker-") +
         std::to_string(process.index);
}

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : std::string("SIG") + name;
}

std::string ToString(const Exit& exit) {
  if (exit.signal == 0) return "exited with code " + std::to_string(exit.code);
  return "was killed by signal " + std::to_string(exit.signal) + " (" + SignalName(exit.signal) +
         ")";
}

}  // namespace elephas::cli
