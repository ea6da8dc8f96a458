#include "operator/state/progress.h"

#include <algorithm>
#include <array>

#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "common/json/json_bounds.h"

namespace elephas {

namespace {

using nlohmann::json;
using std::string_view_literals::operator""sv;

constexpr std::array kStates{"Initializing"sv, "Running"sv, "Finalizing"sv, "Succeeded"sv,
                             "Failed"sv};
// What is kept of an answer, and goes into the job's status: a template may name any image, so
// that a server may say anything.
constexpr std::size_t kMaxReason = 256;
constexpr std::size_t kMaxProgressText = 4'096;
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxMetrics = 64;
constexpr std::size_t kMaxOutputs = 64;
constexpr JsonBounds kBounds{.bytes = kMaxStatusBytes, .depth = 16, .nodes = 4'000};

std::string Text(const json& object, const char* name, std::size_t bytes) {
  return Shortened(TextOf(object, name), bytes);
}

void AddMetric(const std::string& name, const json& value, json& metrics) {
  if (!value.is_number() || name.size() > kMaxName) return;
  if (metrics.size() < kMaxMetrics || metrics.contains(name)) metrics[name] = value;
}

std::set<std::string> Contributors(const json& status) {
  std::set<std::string> names;
  const json& workers = MemberOf(status, "workers");
  if (!workers.is_array()) return names;
  for (const json& worker : workers) {
    const std::string name = TextOf(worker, "name");
    if (name.size() > kMaxName || NumberIn(MemberOf(worker, "examples")) <= 0) continue;
    names.insert(name);
  }
  return names;
}

// The last value of each list that is a metric.
void AddLastOf(const json& history, json& metrics) {
  if (!history.is_object()) return;
  for (const auto& [name, values] : history.items()) {
    if (name == "examples" || name == "seconds" || !values.is_array() || values.empty()) continue;
    AddMetric(name, values.back(), metrics);
  }
}

// A few short ones: they come from a pod and go into the object's status.
void AddWarnings(const json& status, std::vector<Progress::Warning>& warnings) {
  constexpr std::size_t kMost = 10, kReasonBytes = 64, kMessageBytes = 1024;
  const json& list = MemberOf(status, "warnings");
  if (!list.is_array()) return;
  for (const json& entry : list) {
    if (warnings.size() == kMost) return;
    Progress::Warning warning{TextOf(entry, "reason"), Text(entry, "message", kMessageBytes)};
    if (warning.reason.empty() || warning.reason.size() > kReasonBytes) continue;
    warnings.push_back(std::move(warning));
  }
}

}  // namespace

std::optional<Progress> ProgressFromStatus(const json& status) {
  Progress progress;
  progress.state = TextOf(status, "state");
  if (std::find(kStates.begin(), kStates.end(), progress.state) == kStates.end()) {
    return std::nullopt;
  }
  progress.reason = Text(status, "reason", kMaxReason);
  progress.message = Text(status, "message", kMaxProgressText);
  progress.epoch = std::max<std::int64_t>(0, IntegerIn(MemberOf(status, "epoch")));
  progress.epochs = std::max<std::int64_t>(0, IntegerIn(MemberOf(status, "epochs")));
  progress.done = std::clamp(NumberIn(MemberOf(status, "progress")), 0.0, 1.0);
  progress.examples_per_second = std::max(0.0, NumberIn(MemberOf(status, "examplesPerSecond")));
  if (const double left = NumberIn(MemberOf(status, "secondsRemaining"), -1); left >= 0) {
    progress.seconds_remaining = left;
  }
  progress.metrics = json::object();
  AddLastOf(MemberOf(status, "history"), progress.metrics);
  if (const json& now = MemberOf(status, "metrics"); progress.metrics.empty() && now.is_object()) {
    for (const auto& [name, value] : now.items()) AddMetric(name, value, progress.metrics);
  }
  if (const json& outputs = MemberOf(status, "outputs"); outputs.is_array()) {
    for (const json& output : outputs) {
      if (!output.is_string() || progress.outputs.size() == kMaxOutputs) continue;
      progress.outputs.push_back(Shortened(output.get_ref<const std::string&>(), kMaxProgressText));
    }
  }
  const json& transport = MemberOf(status, "transport");
  progress.transport = Text(transport, "now", kMaxName);
  progress.transport_reason = Text(transport, "reason", kMaxProgressText);
  progress.contributors = Contributors(status);
  AddWarnings(status, progress.warnings);
  return progress;
}

std::optional<Progress> ProgressFromText(std::string_view text) {
  const auto status = ParseBounded(text, kBounds);
  return status.ok() ? ProgressFromStatus(*status) : std::nullopt;
}

std::optional<Progress> ProgressFromMessage(std::string_view message) {
  // Log lines begin otherwise; they are not worth a parser.
  return message.starts_with('{') ? ProgressFromText(message) : std::nullopt;
}

}  // namespace elephas
