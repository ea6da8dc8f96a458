#include "paramserver/exit_when_done.h"

#include <algorithm>
#include <utility>

#include "common/base/names.h"
#include "common/base/utf8.h"
#include "common/json/bounded_json.h"

namespace elephas {

namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kPatience{2'000};
constexpr std::size_t kMaxStatus = std::size_t{4} << 20;  // of jobs with thousands of workers

// The last whole epoch's values; what is running has none yet when the job has ended.
json FinalMetrics(const json& status) {
  json metrics = status.value("metrics", json::object());
  const json history = status.value("history", json::object());
  for (const auto& [name, values] : history.items()) {
    if (name != "examples" && name != "seconds" && values.is_array() && !values.empty()) {
      metrics[name] = values.back();
    }
  }
  return metrics;
}

}  // namespace

std::string TerminationMessage(const json& status) {
  json message = json::object();
  for (const char* name : {"state", "reason", "message", "epoch", "epochs", "progress", "version",
                           "examplesPerSecond", "outputs"}) {
    if (status.contains(name)) message[name] = status[name];
  }
  message["metrics"] = FinalMetrics(status);
  std::string text = JsonText(message);
  for (const char* name : {"outputs", "metrics"}) {
    if (text.size() <= names::kTerminationLogBytes) return text;
    message[name].clear();
    text = JsonText(message);
  }
  if (text.size() <= names::kTerminationLogBytes) return text;
  const auto why = message.value("message", std::string());
  // Escapes make a byte up to six; what is left says enough.
  message["message"] = Shortened(why, names::kTerminationLogBytes / 8);
  return JsonText(message);
}

DoneWatch::DoneWatch(const WatchService& service, Options options)
    : service_(service), options_(std::move(options)) {
  if (options_.coordinator_url.empty()) return;
  client_.emplace(HttpClient::Options{.base_url = options_.coordinator_url,
                                      .token = options_.token,
                                      .connect_timeout = kPatience,
                                      .max_body = kMaxStatus});
}

bool DoneWatch::Done() {
  const Time now = std::chrono::steady_clock::now();
  return client_ ? OverThere(now) : OverHere(now);
}

bool DoneWatch::OverHere(Time now) {
  const WatchService::EndState end = service_.End();
  if (!end.over) return false;
  if (!over_since_) over_since_ = now;
  const auto since = now - *over_since_;
  if (options_.servers > 1 && since < options_.tell_servers) return false;
  return end.told || since >= options_.tell_workers;
}

bool DoneWatch::OverThere(Time now) {
  if (now < ask_again_) return false;
  ask_again_ = now + options_.ask_interval;
  const auto reply = client_->Send("GET", "/v1/status", {}, {}, kPatience);
  if (!reply.ok() || reply->status != 200) return false;  // starting, restarting: asked again
  const auto status = ParseBoundedJson(reply->body, JsonLimitsFor(reply->body.size()));
  if (!status.ok() || !status->is_object()) return false;
  const auto state = status->find("state");
  return state != status->end() && (*state == "Succeeded" || *state == "Failed");
}

}  // namespace elephas
