// The command line of elephas-paramserver.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace elephas {

struct ServerFlags {
  std::string job_file, uid, base = ".", address = "0.0.0.0", port_file, token_file;
  std::string coordinator, url;
  std::string log_format, log_level;
  std::string termination_log;
  std::int64_t index = 0;
  std::uint16_t port = 0;
  std::string metrics_address = "0.0.0.0";
  std::optional<std::uint16_t> metrics_port;  // beside `port`; left out: only there
  std::chrono::milliseconds lease{15000}, group_patience{3000}, group_commit{5000};
  bool resume = false;
  bool exit_when_done = false;
};

// Prints help or what is wrong with the command line; `exit_code` says how to end when there are no
// flags: 0 after --help, 2 after bad usage. Environment variables stand in for flags that a pod
// sets.
std::optional<ServerFlags> ParseServerFlags(int argc, char** argv, int& exit_code);

}  // namespace elephas
