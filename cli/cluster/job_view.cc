#include "cli/cluster/job_view.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "cli/terminal/progress_text.h"
#include "common/base/terminal_text.h"
#include "common/base/timestamp.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"

namespace elephas::cli {

namespace {

using nlohmann::json;

std::int64_t IntegerAt(const json& object, const char* pointer, std::int64_t otherwise = 0) {
  const json& value = At(object, pointer);
  return value.is_number() ? static_cast<std::int64_t>(value.get<double>()) : otherwise;
}

// As kubectl prints a column: nothing for what is not there.
std::string Cell(const json& value) {
  if (value.is_string()) return TerminalText(value.get<std::string>());
  if (value.is_null()) return "";
  return TerminalText(JsonText(value));
}

std::vector<std::string> Row(const json& job, const TableOptions& options) {
  std::vector<std::string> row;
  if (options.namespaces) row.push_back(Cell(At(job, "/metadata/namespace")));
  row.push_back(Cell(At(job, "/metadata/name")));
  for (const char* pointer : {"/status/state", "/status/epoch", "/status/progress", "/status/loss",
                              "/status/workers/summary"}) {
    row.push_back(Cell(At(job, pointer)));
  }
  const auto created = kube::ParseTime(TextAt(job, "/metadata/creationTimestamp"));
  row.push_back(created ? AgeText((options.now_millis - *created) / 1'000) : "<unknown>");
  if (options.wide) {
    row.push_back(Cell(At(job, "/spec/task")));
    row.push_back(Cell(At(job, "/spec/mode")));
    row.push_back(Cell(At(ConditionOf(job, "Running"), "/reason")));
    row.push_back(Cell(At(job, "/status/restarts")));
  }
  return row;
}

double SecondsBetween(const std::string& begin, const std::string& end) {
  const auto from = kube::ParseTime(begin), to = kube::ParseTime(end);
  return from && to ? static_cast<double>(*to - *from) / 1'000 : 0;
}

// The state in the words of a parameter server.
std::string ServerState(const json& job) {
  if (TextAt(ConditionOf(job, "Succeeded"), "/status") == "True") return "Succeeded";
  if (TextAt(ConditionOf(job, "Failed"), "/status") == "True") return "Failed";
  const bool running = TextAt(ConditionOf(job, "Running"), "/status") == "True";
  return running && !At(job, "/status/progress").is_null() ? "Running" : "Initializing";
}

}  // namespace

std::string AgeText(std::int64_t seconds) {
  constexpr std::int64_t kMinute = 60, kHour = 3'600, kDay = 86'400;
  const auto with = [](std::int64_t whole, const char* unit, std::int64_t rest,
                       const char* rest_unit) {
    std::string text = std::to_string(whole) + unit;
    return rest > 0 ? text + std::to_string(rest) + rest_unit : text;
  };
  if (seconds < 0) return "0s";
  if (seconds < 2 * kMinute) return std::to_string(seconds) + "s";
  if (seconds < 10 * kMinute) return with(seconds / kMinute, "m", seconds % kMinute, "s");
  if (seconds < 3 * kHour) return std::to_string(seconds / kMinute) + "m";
  if (seconds < 8 * kHour) return with(seconds / kHour, "h", seconds % kHour / kMinute, "m");
  if (seconds < 2 * kDay) return std::to_string(seconds / kHour) + "h";
  if (seconds < 8 * kDay) return with(seconds / kDay, "d", seconds % kDay / kHour, "h");
  return std::to_string(seconds / kDay) + "d";
}

std::string JobTable(const std::vector<json>& jobs, const TableOptions& options) {
  std::vector<std::vector<std::string>> rows(1);
  if (options.namespaces) rows[0].emplace_back("NAMESPACE");
  for (const char* name : {"NAME", "STATE", "EPOCH", "PROGRESS", "LOSS", "WORKERS", "AGE"}) {
    rows[0].emplace_back(name);
  }
  if (options.wide) {
    for (const char* name : {"TASK", "MODE", "REASON", "RESTARTS"}) rows[0].emplace_back(name);
  }
  for (const json& job : jobs) rows.push_back(Row(job, options));
  std::vector<std::size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] + 3 - DisplayWidth(row[i]), ' ');
    }
    text += "\n";
  }
  return text;
}

const json& ConditionOf(const json& job, const std::string& type) {
  static const json kNull;
  const json& conditions = At(job, "/status/conditions");
  if (!conditions.is_array()) return kNull;
  for (const json& condition : conditions) {
    if (TextAt(condition, "/type") == type) return condition;
  }
  return kNull;
}

bool IsOver(const json& job) {
  return TextAt(ConditionOf(job, "Succeeded"), "/status") == "True" ||
         TextAt(ConditionOf(job, "Failed"), "/status") == "True";
}

RunInfo JobFollower::InfoOf(const json& job) {
  RunInfo info;
  info.job = TextAt(job, "/metadata/name");
  info.uid = TextAt(job, "/metadata/uid");
  const auto word = [&](const char* pointer, const char* otherwise) {
    const std::string text = TextAt(job, pointer);
    return text.empty() ? std::string(otherwise) : text;
  };
  info.task = word("/spec/task", "train");
  info.mode = word("/spec/mode", "asynchronous");
  info.frequency = word("/spec/frequency", "epoch");
  info.servers = IntegerAt(job, "/spec/parameterServers/replicas", 1);
  info.workers = IntegerAt(job, "/spec/workers/replicas", 1);
  return info;
}

JobFollower::News JobFollower::Take(const json& job, std::int64_t now_millis) {
  News news;
  // What keeps it from running, or what runs: told once for each change of the reason.
  const json& running = ConditionOf(job, "Running");
  const std::string reason = TextAt(running, "/reason");
  if (!reason.empty() && reason != activity_ && !IsOver(job)) {
    activity_ = reason;
    news.notes.emplace_back(reason, TextAt(running, "/message"));
  }

  RememberEpochs(job);
  const json& status = At(job, "/status");
  json& server = news.status;
  server = {{"state", ServerState(job)},
            {"task", InfoOf(job).task},
            {"epoch", IntegerAt(status, "/epoch")},
            {"epochs", IntegerAt(status, "/epochs", IntegerAt(job, "/spec/fit/epochs", 1))},
            {"progress", static_cast<double>(IntegerAt(status, "/progress")) / 100},
            {"history", json::object()}};
  if (const json& metrics = At(status, "/metrics"); metrics.is_object()) {
    server["metrics"] = metrics;
    if (server["task"] != "train") server["result"] = {{"metrics", metrics}};
  }
  if (const json& rate = At(status, "/examplesPerSecond"); rate.is_number()) {
    server["examplesPerSecond"] = rate;
  }
  if (const auto done = kube::ParseTime(TextAt(status, "/estimatedCompletionTime"))) {
    server["secondsRemaining"] =
        std::max<double>(0, static_cast<double>(*done - now_millis) / 1'000);
  }
  if (const json& outputs = At(status, "/outputs"); outputs.is_array()) server["outputs"] = outputs;

  std::set<std::string> names;
  for (const json& metrics : epochs_) {
    for (const auto& [name, value] : metrics.items()) names.insert(name);
  }
  for (const std::string& name : names) {
    json& values = server["history"][name] = json::array();
    // An object stands for what nobody has seen.
    for (const json& metrics : epochs_) values.push_back(metrics.value(name, json::object()));
  }

  if (IsOver(job)) {
    RunEnd& end = news.end.emplace();
    const bool succeeded = server["state"] == "Succeeded";
    const json& condition = ConditionOf(job, succeeded ? "Succeeded" : "Failed");
    end.outcome.exit_code = succeeded ? kExitSuccess : kExitFailure;
    end.outcome.reason = TextAt(condition, "/reason");
    end.outcome.message = TextAt(condition, "/message");
    end.status = server;
    end.seconds = SecondsBetween(TextAt(status, "/startTime"), TextAt(status, "/completionTime"));
  }
  return news;
}

void JobFollower::RememberEpochs(const json& job) {
  // `epoch` counts those that are over; metrics are then those of the last one.
  if (InfoOf(job).task != "train") return;
  const auto over = static_cast<std::size_t>(std::max<std::int64_t>(
      0, std::min<std::int64_t>(IntegerAt(job, "/status/epoch"), 1'000'000)));
  const json& metrics = At(job, "/status/metrics");
  // After a server went back to a checkpoint its epochs come again.
  if (over < epochs_.size()) epochs_.resize(over);
  if (over == epochs_.size()) return;
  epochs_.resize(over, json::object());
  if (metrics.is_object()) epochs_.back() = metrics;
}

}  // namespace elephas::cli
