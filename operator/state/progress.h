// What parameter server 0 says about its job: in /v1/status while it runs, in its termination
// message when it has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace elephas {

// What is read of an answer; /v1/status?brief=true of a server of ours has a few KiB.
inline constexpr std::size_t kMaxStatusBytes = std::size_t{64} << 10;

struct Progress {
  std::string state;  // "Initializing", "Running", "Finalizing", "Succeeded", "Failed"
  std::string reason, message;
  std::int64_t epoch = 0, epochs = 0;
  double done = 0;         // 0 to 1
  nlohmann::json metrics;  // newest value by name, those of the last whole epoch where there is one
  double examples_per_second = 0;
  std::optional<double> seconds_remaining;
  std::vector<std::string> outputs;
  // What a person should know although the job goes on.
  struct Warning {
    std::string reason, message;
    friend bool operator==(const Warning&, const Warning&) = default;
  };
  std::vector<Warning> warnings;
  // By which way training is exchanged: "nccl", "rest"; and why not by the other. Empty: not said.
  std::string transport, transport_reason;
  // The workers of which an example has been applied, as far as the server knows them.
  std::set<std::string> contributors;

  [[nodiscard]] bool succeeded() const { return state == "Succeeded"; }
  [[nodiscard]] bool over() const { return succeeded() || state == "Failed"; }
  friend bool operator==(const Progress&, const Progress&) = default;
};

// nullopt when `status` is not what a server says. Lengths and counts are bounded, and numbers are
// finite, whatever it is.
std::optional<Progress> ProgressFromStatus(const nlohmann::json& status);
// The same of a text that has yet to be parsed: nullopt also for one that is too large or too deep.
std::optional<Progress> ProgressFromText(std::string_view text);
// The same of a termination message, which may be anything, log lines included.
std::optional<Progress> ProgressFromMessage(std::string_view message);

}  // namespace elephas
