// An ElephasJob of a cluster as the command line shows it. Pure: no sockets, no clock of its own.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/terminal/reporter.h"

namespace elephas::cli {

// "45s", "12m", "3h20m", "5d": ages as kubectl prints them.
std::string AgeText(std::int64_t seconds);

// The table of `elephas get`: the columns of `kubectl get ej`, with those of `-o wide`, and with
// NAMESPACE in front.
struct TableOptions {
  bool wide = false, namespaces = false;
  std::int64_t now_millis = 0;
};
std::string JobTable(const std::vector<nlohmann::json>& jobs, const TableOptions& options);

// The condition of this type; null when there is none.
const nlohmann::json& ConditionOf(const nlohmann::json& job, const std::string& type);
// Succeeded or Failed is True.
bool IsOver(const nlohmann::json& job);

// Turns the states of one job, in order, into what a Reporter of a local run takes.
class JobFollower {
 public:
  // Call Started first.
  static RunInfo InfoOf(const nlohmann::json& job);

  struct News {
    // As the parameter server's /v1/status, so that one progress line serves both.
    nlohmann::json status;
    // What a person should know: the reason and message of a condition that changed.
    std::vector<std::pair<std::string, std::string>> notes;
    std::optional<RunEnd> end;
  };
  News Take(const nlohmann::json& job, std::int64_t now_millis);

 private:
  void RememberEpochs(const nlohmann::json& job);

  std::string activity_;  // the last one told
  // The metrics of each finished epoch that was seen; an empty object for one that passed unseen.
  std::vector<nlohmann::json> epochs_;
};

}  // namespace elephas::cli
