#include "cli/terminal/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <sstream>

namespace elephas::cli {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const TellRestart kRestart{{Role::kWorker, 1}, {0, SIGKILL}, 1, 6};

json Status(int epochs) {
  json status{{"state", "Running"}, {"task", "train"}, {"epoch", epochs}, {"epochs", 2}};
  status["history"] = {{"loss", json::array()}};
  for (int i = 0; i < epochs; ++i) status["history"]["loss"].push_back(0.5);
  status["outputs"] = {"/out/model.safetensors", "/out/history.json"};
  return status;
}

class ReporterTest : public ::testing::Test {
 protected:
  // A run of two epochs with a restart, up to its end.
  void Run(ReportStyle style, RunEnd end) {
    const auto reporter = MakeReporter({style, false, [] { return std::size_t{80}; }}, out_, err_);
    reporter->Started({"digits", "u-1", "train", "synchronous", "batch", 1, 2, "/tmp/run"});
    reporter->Serving(
        {"http://127.0.0.1:4000/", "abc", "/tmp/run/token", {"127.0.0.1:9400", "127.0.0.1:9401"}});
    reporter->Progress(Status(0));
    reporter->Progress(Status(1));
    reporter->Restarting(kRestart);
    end.seconds = 12;
    if (end.status.is_null()) end.status = Status(2);
    reporter->Ended(end);
  }
  static RunEnd Success() { return {.outcome = {kExitSuccess, "Succeeded", "", {}}}; }
  static RunEnd Failure() {
    RunEnd end{
        .outcome = {kExitFailure, "BackoffLimitExceeded", "worker-1 exited with code 1", {}}};
    end.log_tail = {"Traceback", "\x1b[31mno"};
    end.log_file = "/tmp/run/worker-1.log";
    end.kept_folder = "/tmp/run";
    end.resume_hint = "elephas run job.yaml --resume";
    return end;
  }
  std::ostringstream out_, err_;
};

TEST_F(ReporterTest, PlainLinesTellTheRun) {
  Run(ReportStyle::kPlain, Success());
  EXPECT_EQ(out_.str(),
            "digits: train, synchronous, frequency batch; 1 parameter server, 2 workers\n"
            "  metrics: 127.0.0.1:9400 127.0.0.1:9401\n"
            "Epoch 1/2  loss 0.5000\n"
            "worker-1 was killed by signal 9 (SIGKILL); starting it again (1 of 6)\n"
            "Epoch 2/2  loss 0.5000\n"
            "digits: done in 12 s  loss 0.5000\n"
            "  /out/model.safetensors\n"
            "  /out/history.json\n");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(ReporterTest, QuietTellsTheResultOnly) {
  Run(ReportStyle::kQuiet, Success());
  EXPECT_EQ(out_.str(),
            "digits: done in 12 s  loss 0.5000\n"
            "  /out/model.safetensors\n"
            "  /out/history.json\n");
}

TEST_F(ReporterTest, AFailureGoesToStandardError) {
  Run(ReportStyle::kQuiet, Failure());
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(err_.str(),
            "elephas: digits failed: worker-1 exited with code 1 (BackoffLimitExceeded)\n"
            "the end of /tmp/run/worker-1.log:\n"
            "  Traceback\n"
            "   [31mno\n"
            "all logs: /tmp/run\n"
            "to go on from the last checkpoint: elephas run job.yaml --resume\n");
}

TEST_F(ReporterTest, AnInterruptionIsNotCalledAFailure) {
  Run(ReportStyle::kQuiet, {.outcome = {130, "Interrupted", "stopped by SIGINT", {}}});
  EXPECT_EQ(err_.str(), "elephas: digits was stopped by SIGINT; every process of it has ended\n");
}

TEST_F(ReporterTest, TheLiveLineIsErasedBeforeOtherLines) {
  Run(ReportStyle::kTerminal, Success());
  EXPECT_THAT(out_.str(), HasSubstr("\rEpoch 2/2 [>"));
  EXPECT_THAT(out_.str(), HasSubstr("\r\x1b[KEpoch 1/2  loss 0.5000\n"));
  EXPECT_THAT(out_.str(), HasSubstr("\r\x1b[Kworker-1 was killed"));
}

// `run --json` printed the token, so that it was in the logs of a CI.
TEST_F(ReporterTest, ATerminalGetsTheTokenWhatMayEndInAFileDoesNot) {
  Run(ReportStyle::kTerminal, Success());
  EXPECT_THAT(out_.str(), HasSubstr("  watch: http://127.0.0.1:4000/#token=abc\n"));
  for (const ReportStyle style : {ReportStyle::kPlain, ReportStyle::kQuiet, ReportStyle::kJson}) {
    out_.str("");
    Run(style, Success());
    EXPECT_THAT(out_.str() + err_.str(), Not(HasSubstr("abc")));
  }
}

// A reason with an escape sequence reached the terminal of whoever followed the job.
TEST_F(ReporterTest, NothingThatOthersWroteMovesTheTerminal) {
  const std::string evil =
      "x\x1b]0;title\x07\xc2\x9b"
      "2J\r";
  for (const ReportStyle style : {ReportStyle::kPlain, ReportStyle::kQuiet, ReportStyle::kJson}) {
    const auto reporter = MakeReporter({style, false, [] { return std::size_t{80}; }}, out_, err_);
    reporter->Started({evil, evil, evil, evil, evil, 1, 2, evil});
    json status = Status(1);
    status["history"][evil] = {1.0};
    status["outputs"] = {evil};
    reporter->Progress(status);
    reporter->Note(evil, evil);
    RunEnd end{.outcome = {kExitFailure, evil, evil, {}}};
    end.log_tail = {evil};
    end.log_file = end.kept_folder = end.resume_hint = evil;
    reporter->Ended(end);
    reporter->Ended({.outcome = {kExitSuccess, "Succeeded", "", {}}, .status = status});
  }
  const std::string all = out_.str() + err_.str();
  for (const char* part : {"\x1b", "\x07", "\xc2\x9b", "\r"}) {
    EXPECT_THAT(all, Not(HasSubstr(part)));
  }
}

TEST_F(ReporterTest, PlainLinesHaveNoControlCharacters) {
  Run(ReportStyle::kPlain, Success());
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\r")));
}

std::vector<json> Events(const std::string& text) {
  std::vector<json> events;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) events.push_back(json::parse(line));
  return events;
}

TEST_F(ReporterTest, JsonIsOneEventPerLine) {
  Run(ReportStyle::kJson, Success());
  const auto common = [](json event) {
    event["job"] = "digits";
    event["uid"] = "u-1";
    return event;
  };
  EXPECT_THAT(Events(out_.str()),
              ElementsAre(common({{"event", "started"},
                                  {"task", "train"},
                                  {"mode", "synchronous"},
                                  {"frequency", "batch"},
                                  {"parameterServers", 1},
                                  {"workers", 2},
                                  {"runDir", "/tmp/run"}}),
                          common({{"event", "serving"},
                                  {"page", "http://127.0.0.1:4000/"},
                                  {"tokenFile", "/tmp/run/token"},
                                  {"metrics", {"127.0.0.1:9400", "127.0.0.1:9401"}}}),
                          common({{"event", "epoch"},
                                  {"epoch", 1},
                                  {"epochs", 2},
                                  {"metrics", {{"loss", 0.5}}},
                                  {"examples", 0.0},
                                  {"seconds", 0.0}}),
                          common({{"event", "restarted"},
                                  {"process", "worker-1"},
                                  {"cause", "was killed by signal 9 (SIGKILL)"},
                                  {"attempt", 1},
                                  {"limit", 6}}),
                          common({{"event", "epoch"},
                                  {"epoch", 2},
                                  {"epochs", 2},
                                  {"metrics", {{"loss", 0.5}}},
                                  {"examples", 0.0},
                                  {"seconds", 0.0}}),
                          common({{"event", "finished"},
                                  {"seconds", 12.0},
                                  {"metrics", {{"loss", 0.5}}},
                                  {"history", {{"loss", {0.5, 0.5}}}},
                                  {"outputs", {"/out/model.safetensors", "/out/history.json"}}})));
  EXPECT_EQ(err_.str(), "");
}

TEST_F(ReporterTest, JsonTellsAFailureOnBothStreams) {
  RunEnd end = Failure();
  end.log_tail.emplace_back("\xff not UTF-8");
  Run(ReportStyle::kJson, end);
  const json last = Events(out_.str()).back();
  EXPECT_EQ(last["event"], "failed");
  EXPECT_EQ(last["reason"], "BackoffLimitExceeded");
  EXPECT_EQ(last["message"], "worker-1 exited with code 1");
  EXPECT_EQ(last["exitCode"], 1);
  EXPECT_EQ(last["log"].size(), 3U);
  EXPECT_THAT(err_.str(), HasSubstr("elephas: digits failed: worker-1 exited with code 1"));
}

}  // namespace
}  // namespace elephas::cli
