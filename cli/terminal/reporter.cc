#include "cli/terminal/reporter.h"

#include <sstream>
#include <utility>

#include "cli/terminal/progress_text.h"
#include "common/base/terminal_text.h"
#include "common/base/utf8.h"

namespace elephas::cli {

namespace {

using nlohmann::json;

std::string Several(std::int64_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

json ArrayOr(const json& status, const char* name) {
  return status.is_object() && status.contains(name) ? status[name] : json::array();
}

std::string StateOf(const json& status) {
  return status.is_object() && status.contains("state") && status["state"].is_string()
             ? status["state"].get<std::string>()
             : std::string();
}

// Names, reasons and log lines come from a cluster, a model or a program: all of it is made fit for
// a terminal in one place.
void WriteFailure(std::ostream& err, const std::string& job, const RunEnd& end) {
  const Outcome& outcome = end.outcome;
  std::ostringstream text;
  if (outcome.reason == "Interrupted") {
    text << "elephas: " << job << " was " << outcome.message << "; every process of it has ended\n";
  } else {
    text << "elephas: " << job << " failed: " << outcome.message << " (" << outcome.reason << ")\n";
  }
  if (!end.log_tail.empty()) {
    text << "the end of " << end.log_file << ":\n";
    for (const std::string& line : end.log_tail) text << "  " << line << "\n";
  }
  if (!end.kept_folder.empty()) text << "all logs: " << end.kept_folder << "\n";
  if (!end.resume_hint.empty())
    text << "to go on from the last checkpoint: " << end.resume_hint << "\n";
  err << TerminalText(text.str());
  err.flush();
}

class TextReporter final : public Reporter {
 public:
  TextReporter(ReporterOptions options, std::ostream& out, std::ostream& err)
      : options_(std::move(options)), out_(out), err_(err) {}

  void Started(const RunInfo& info) override {
    job_ = info.job;
    std::string line = info.job + ": " + info.task;
    if (info.task == "train") line += ", " + info.mode + ", frequency " + info.frequency;
    Line(line + "; " + Several(info.servers, "parameter server") + ", " +
         Several(info.workers, "worker"));
  }

  void Serving(const RunAddresses& addresses) override {
    if (options_.style == ReportStyle::kTerminal) {
      Line("  watch: " + addresses.page + "#token=" + addresses.token);
    }
    std::string metrics;
    for (const std::string& address : addresses.metrics) metrics += " " + address;
    if (!metrics.empty()) Line("  metrics:" + metrics);
  }

  void Progress(const json& status) override {
    for (const FinishedEpoch& epoch : epochs_.Take(status)) Line(EpochLine(epoch));
    const bool over = StateOf(status) == "Succeeded" || StateOf(status) == "Failed";
    if (options_.style != ReportStyle::kTerminal || over) return;
    const std::size_t width = options_.width();
    // The last column stays free: some terminals wrap when it is filled.
    out_ << "\r" << ProgressLine(status, width > 1 ? width - 1 : 1, options_.colour) << kEraseRest;
    out_.flush();
    live_ = true;
  }

  void Restarting(const TellRestart& restart) override { Line(RestartText(restart)); }

  void Note(const std::string& reason, const std::string& message) override {
    Line(reason + (message.empty() ? "" : ": " + message));
  }

  void Stopping(int signal) override {
    Line("got " + SignalName(signal) + ", stopping every process");
  }

  void Ended(const RunEnd& end) override {
    if (!end.status.is_null()) {
      for (const FinishedEpoch& epoch : epochs_.Take(end.status)) Line(EpochLine(epoch));
    }
    ClearLive();
    if (end.outcome.exit_code != kExitSuccess) {
      out_.flush();
      return WriteFailure(err_, job_, end);
    }
    const std::string metrics = MetricsText(FinalMetrics(end.status));
    std::ostringstream text;
    text << job_ << ": done in " << DurationText(end.seconds) << (metrics.empty() ? "" : "  ")
         << metrics << "\n";
    for (const json& path : ArrayOr(end.status, "outputs")) {
      if (path.is_string()) text << "  " << path.get<std::string>() << "\n";
    }
    out_ << TerminalText(text.str());
    out_.flush();
  }

 private:
  static constexpr const char* kEraseRest = "\x1b[K";

  void ClearLive() {
    if (std::exchange(live_, false)) out_ << "\r" << kEraseRest;
  }
  void Line(const std::string& text) {
    if (options_.style == ReportStyle::kQuiet) return;
    ClearLive();
    out_ << TerminalText(text) << "\n";
    out_.flush();
  }

  const ReporterOptions options_;
  std::ostream& out_;
  std::ostream& err_;
  std::string job_;
  EpochLog epochs_;
  bool live_ = false;  // a line without an end stands on the terminal
};

class JsonReporter final : public Reporter {
 public:
  JsonReporter(std::ostream& out, std::ostream& err) : out_(out), err_(err) {}

  void Started(const RunInfo& info) override {
    job_ = info.job;
    uid_ = info.uid;
    Event("started", {{"task", info.task},
                      {"mode", info.mode},
                      {"frequency", info.frequency},
                      {"parameterServers", info.servers},
                      {"workers", info.workers},
                      {"runDir", info.folder}});
  }

  void Serving(const RunAddresses& addresses) override {
    Event("serving", {{"page", addresses.page},
                      {"tokenFile", addresses.token_file},
                      {"metrics", addresses.metrics}});
  }

  void Progress(const json& status) override {
    for (const FinishedEpoch& epoch : epochs_.Take(status)) {
      Event("epoch", {{"epoch", epoch.number},
                      {"epochs", epoch.epochs},
                      {"metrics", epoch.metrics},
                      {"examples", epoch.examples},
                      {"seconds", epoch.seconds}});
    }
  }

  void Restarting(const TellRestart& restart) override {
    Event("restarted", {{"process", ToString(restart.process)},
                        {"cause", ToString(restart.exit)},
                        {"attempt", restart.attempt},
                        {"limit", restart.limit}});
  }

  void Note(const std::string& reason, const std::string& message) override {
    Event("condition", {{"reason", reason}, {"message", message}});
  }

  void Stopping(int signal) override { Event("stopping", {{"signal", SignalName(signal)}}); }

  void Ended(const RunEnd& end) override {
    if (!end.status.is_null()) Progress(end.status);
    json fields{{"seconds", end.seconds}};
    if (end.outcome.exit_code == kExitSuccess) {
      fields["metrics"] = FinalMetrics(end.status);
      fields["history"] =
          end.status.is_object() ? end.status.value("history", json::object()) : json::object();
      fields["outputs"] = ArrayOr(end.status, "outputs");
      return Event("finished", std::move(fields));
    }
    fields["reason"] = end.outcome.reason;
    fields["message"] = end.outcome.message;
    fields["exitCode"] = end.outcome.exit_code;
    if (!end.log_tail.empty()) fields["log"] = end.log_tail;
    if (!end.kept_folder.empty()) fields["runDir"] = end.kept_folder;
    Event("failed", std::move(fields));
    WriteFailure(err_, job_, end);
  }

 private:
  void Event(const char* name, json fields) {
    fields["event"] = name;
    fields["job"] = job_;
    fields["uid"] = uid_;
    // A log may hold any bytes; they must not stop the report.
    out_ << TerminalJson(JsonText(fields)) << "\n";
    out_.flush();
  }

  std::ostream& out_;
  std::ostream& err_;
  std::string job_, uid_;
  EpochLog epochs_;
};

}  // namespace

std::string RestartText(const TellRestart& restart) {
  return ToString(restart.process) + " " + ToString(restart.exit) + "; starting it again (" +
         std::to_string(restart.attempt) + " of " + std::to_string(restart.limit) + ")";
}

std::unique_ptr<Reporter> MakeReporter(ReporterOptions options, std::ostream& out,
                                       std::ostream& err) {
  if (options.style == ReportStyle::kJson) return std::make_unique<JsonReporter>(out, err);
  return std::make_unique<TextReporter>(std::move(options), out, err);
}

}  // namespace elephas::cli
