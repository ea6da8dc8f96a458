#include "cli/run/supervision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace elephas::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const ProcessId kServer0{Role::kServer, 0};
const ProcessId kWorker0{Role::kWorker, 0}, kWorker1{Role::kWorker, 1};
constexpr Exit kKilled{0, SIGKILL}, kSucceeded{0, 0}, kJobFailed{3, 0}, kCrashed{1, 0};

// One line per action, in a language that reads like the run.
std::string Text(const Action& action) {
  if (const auto* start = std::get_if<StartProcess>(&action))
    return "start " + ToString(start->process);
  if (const auto* signal = std::get_if<SignalProcess>(&action)) {
    return SignalName(signal->signal) + " " + ToString(signal->process);
  }
  const auto& restart = std::get<TellRestart>(action);
  return "tell " + ToString(restart.process) + " " + ToString(restart.exit) + " (" +
         std::to_string(restart.attempt) + " of " + std::to_string(restart.limit) + ")";
}

class SupervisionTest : public ::testing::Test {
 protected:
  using Lines = std::vector<std::string>;

  void SetUp() override { Make({}); }
  void Make(SupervisionOptions options) {
    options.servers = servers_;
    options.workers = 2;
    run_.emplace(options);
  }

  static Lines Texts(const Supervision::Actions& actions) {
    Lines lines;
    for (const Action& action : actions) lines.push_back(Text(action));
    return lines;
  }
  Lines Begin() { return Texts(run_->Begin(now_)); }
  Lines Ready(int server) { return Texts(run_->ServerReady(server, now_)); }
  Lines Exits(ProcessId process, Exit exit) { return Texts(run_->Exited(process, exit, now_)); }
  Lines State(const char* state, const char* reason = "", const char* message = "") {
    return Texts(run_->JobState(state, reason, message, now_));
  }
  Lines Signal(int signal) { return Texts(run_->Interrupted(signal, now_)); }
  Lines Advance(milliseconds time) {
    now_ += time;
    return Texts(run_->Tick(now_));
  }
  // Time until the supervision wants to be asked again.
  [[nodiscard]] std::optional<milliseconds> Wake() const {
    const auto wake = run_->NextWake();
    if (!wake) return std::nullopt;
    return std::chrono::duration_cast<milliseconds>(*wake - now_);
  }
  void Up() {
    Begin();
    Ready(0);
  }

  int servers_ = 1;
  std::optional<Supervision> run_;
  Clock::TimePoint now_{};
};

TEST_F(SupervisionTest, WorkersStartOnceServer0Listens) {
  EXPECT_THAT(Begin(), ElementsAre("start paramserver-0"));
  EXPECT_TRUE(run_->AwaitsServer(0));
  EXPECT_EQ(Wake(), std::nullopt);
  EXPECT_THAT(Ready(0), ElementsAre("start worker-0", "start worker-1"));
  EXPECT_FALSE(run_->AwaitsServer(0));
}

TEST_F(SupervisionTest, FurtherServersStartWithTheWorkers) {
  servers_ = 2;
  Make({});
  Begin();
  EXPECT_FALSE(run_->AwaitsServer(1));
  EXPECT_THAT(Ready(0), ElementsAre("start paramserver-1", "start worker-0", "start worker-1"));
  EXPECT_TRUE(run_->AwaitsServer(1));
  EXPECT_THAT(Ready(1), IsEmpty());
}

TEST_F(SupervisionTest, AJobThatSucceedsEndsWithTheServer) {
  Up();
  EXPECT_THAT(State("Running"), IsEmpty());
  EXPECT_THAT(State("Succeeded"), IsEmpty());
  EXPECT_TRUE(run_->ending());
  EXPECT_THAT(Exits(kWorker1, kSucceeded), IsEmpty());
  EXPECT_THAT(Exits(kWorker0, kSucceeded), ElementsAre("SIGTERM paramserver-0"));
  EXPECT_FALSE(run_->finished());
  EXPECT_THAT(Exits(kServer0, {0, 0}), IsEmpty());
  ASSERT_TRUE(run_->finished());
  EXPECT_EQ(run_->outcome().exit_code, 0);
  EXPECT_EQ(run_->NextWake(), std::nullopt);
}

TEST_F(SupervisionTest, TheServerStaysUntilTheFinalStatusIsRead) {
  Up();
  Exits(kWorker0, kSucceeded);
  EXPECT_THAT(Exits(kWorker1, kSucceeded), IsEmpty());
  EXPECT_EQ(Wake(), seconds(5));
  EXPECT_THAT(State("Succeeded"), ElementsAre("SIGTERM paramserver-0"));
}

TEST_F(SupervisionTest, AFinalStatusThatNeverComesIsNotWaitedForLong) {
  Up();
  Exits(kWorker0, kSucceeded);
  Exits(kWorker1, kSucceeded);
  EXPECT_THAT(Advance(seconds(5)), ElementsAre("SIGTERM paramserver-0"));
  Exits(kServer0, {0, 0});
  EXPECT_EQ(run_->outcome().exit_code, 0);
}

TEST_F(SupervisionTest, AWorkerThatDoesNotGoIsToldToAndThenMade) {
  Up();
  State("Succeeded");
  Exits(kWorker0, kSucceeded);
  EXPECT_EQ(Wake(), seconds(30));
  EXPECT_THAT(Advance(milliseconds(29999)), IsEmpty());
  EXPECT_THAT(Advance(milliseconds(1)), ElementsAre("SIGTERM worker-1"));
  EXPECT_THAT(Advance(seconds(10)), ElementsAre("SIGKILL worker-1"));
  EXPECT_THAT(Exits(kWorker1, kKilled), ElementsAre("SIGTERM paramserver-0"));
  EXPECT_THAT(Advance(seconds(10)), ElementsAre("SIGKILL paramserver-0"));
  Exits(kServer0, kKilled);
  EXPECT_EQ(run_->outcome().exit_code, 0);
}

TEST_F(SupervisionTest, AWorkerThatDiesAfterTheSuccessDoesNotComeBack) {
  Up();
  State("Succeeded");
  EXPECT_THAT(Exits(kWorker0, kKilled), IsEmpty());
  EXPECT_THAT(Exits(kWorker1, kSucceeded), ElementsAre("SIGTERM paramserver-0"));
}

TEST_F(SupervisionTest, TheServersReasonIsTheJobs) {
  Up();
  EXPECT_THAT(Exits(kWorker0, kJobFailed), IsEmpty());
  State("Failed", "InvalidJob", "digits.csv:18: no number");
  EXPECT_THAT(Exits(kWorker1, kJobFailed), ElementsAre("SIGTERM paramserver-0"));
  Exits(kServer0, {0, 0});
  EXPECT_EQ(run_->outcome().exit_code, 1);
  EXPECT_EQ(run_->outcome().reason, "InvalidJob");
  EXPECT_EQ(run_->outcome().message, "digits.csv:18: no number");
  EXPECT_EQ(run_->outcome().culprit, std::nullopt);
}

TEST_F(SupervisionTest, WithoutTheServersReasonTheWorkersLogIsShown) {
  Up();
  Exits(kWorker0, kJobFailed);
  EXPECT_THAT(Exits(kServer0, kKilled), ElementsAre("SIGTERM worker-1"));
  Exits(kWorker1, {0, SIGTERM});
  ASSERT_TRUE(run_->finished());
  EXPECT_EQ(run_->outcome().exit_code, 1);
  EXPECT_EQ(run_->outcome().culprit, kWorker0);
}

TEST_F(SupervisionTest, AKilledWorkerStartsAgainAfterAPause) {
  Up();
  EXPECT_THAT(Exits(kWorker1, kKilled),
              ElementsAre("tell worker-1 was killed by signal 9 (SIGKILL) (1 of 6)"));
  EXPECT_EQ(Wake(), milliseconds(200));
  EXPECT_THAT(Advance(milliseconds(199)), IsEmpty());
  EXPECT_THAT(Advance(milliseconds(1)), ElementsAre("start worker-1"));
  EXPECT_EQ(Wake(), std::nullopt);
}

TEST_F(SupervisionTest, PausesGrowUntilAProcessStaysAlive) {
  Make({.backoff_limit = 100});
  Up();
  for (const int pause : {200, 400, 800, 1600, 3200, 6400, 10000, 10000}) {
    Exits(kWorker0, kCrashed);
    EXPECT_EQ(Wake(), milliseconds(pause));
    EXPECT_THAT(Advance(milliseconds(pause)), ElementsAre("start worker-0"));
  }
  Exits(kWorker1, kCrashed);  // another process begins anew
  EXPECT_EQ(Wake(), milliseconds(200));
  Advance(milliseconds(200));
  Advance(seconds(60));
  Exits(kWorker0, kCrashed);
  EXPECT_EQ(Wake(), milliseconds(200));
}

TEST_F(SupervisionTest, TheLimitCountsAllProcessesTogether) {
  Make({.backoff_limit = 2});
  Up();
  Exits(kWorker0, kKilled);
  Advance(milliseconds(200));
  EXPECT_THAT(Exits(kServer0, kKilled),
              ElementsAre("tell paramserver-0 was killed by signal 9 (SIGKILL) (2 of 2)"));
  EXPECT_THAT(Advance(milliseconds(200)), ElementsAre("start paramserver-0"));
  EXPECT_THAT(Exits(kWorker1, kCrashed), ElementsAre("SIGTERM worker-0"));
  EXPECT_THAT(Exits(kWorker0, {0, SIGTERM}), ElementsAre("SIGTERM paramserver-0"));
  Exits(kServer0, {0, 0});
  EXPECT_EQ(run_->outcome().exit_code, 1);
  EXPECT_EQ(run_->outcome().reason, "BackoffLimitExceeded");
  EXPECT_EQ(run_->outcome().message,
            "worker-1 exited with code 1; spec.runPolicy.backoffLimit allows 2 restarts");
  EXPECT_EQ(run_->outcome().culprit, kWorker1);
}

TEST_F(SupervisionTest, ALimitOfZeroAllowsNoRestart) {
  Make({.backoff_limit = 0});
  Up();
  EXPECT_THAT(Exits(kWorker0, kKilled), ElementsAre("SIGTERM worker-1"));
}

TEST_F(SupervisionTest, AServerThatGivesUpBeforeItListenedFailsTheJobAtOnce) {
  Begin();
  EXPECT_THAT(Exits(kServer0, kCrashed), IsEmpty());
  ASSERT_TRUE(run_->finished());
  EXPECT_EQ(run_->outcome().reason, "StartFailed");
  EXPECT_EQ(run_->outcome().message, "paramserver-0 exited with code 1 before it listened");
  EXPECT_EQ(run_->outcome().culprit, kServer0);
}

TEST_F(SupervisionTest, AServerKilledBeforeItListenedStartsAgain) {
  Begin();
  EXPECT_THAT(Exits(kServer0, kKilled),
              ElementsAre("tell paramserver-0 was killed by signal 9 (SIGKILL) (1 of 6)"));
  EXPECT_FALSE(run_->AwaitsServer(0));
  EXPECT_THAT(Advance(milliseconds(200)), ElementsAre("start paramserver-0"));
  EXPECT_TRUE(run_->AwaitsServer(0));
  EXPECT_THAT(Ready(0), ElementsAre("start worker-0", "start worker-1"));
}

TEST_F(SupervisionTest, AServerThatStopsBySomebodyElsesHandStartsAgain) {
  Up();
  EXPECT_THAT(Exits(kServer0, {0, 0}),
              ElementsAre("tell paramserver-0 exited with code 0 (1 of 6)"));
}

TEST_F(SupervisionTest, CtrlCStopsWorkersAndThenServers) {
  Up();
  EXPECT_THAT(Signal(SIGINT), ElementsAre("SIGTERM worker-0", "SIGTERM worker-1"));
  Exits(kWorker0, {0, SIGTERM});
  EXPECT_THAT(Exits(kWorker1, {0, SIGTERM}), ElementsAre("SIGTERM paramserver-0"));
  Exits(kServer0, {0, 0});
  ASSERT_TRUE(run_->finished());
  EXPECT_EQ(run_->outcome().exit_code, 130);
  EXPECT_EQ(run_->outcome().reason, "Interrupted");
}

TEST_F(SupervisionTest, CtrlCBeforeTheWorkersStartStopsTheServer) {
  Begin();
  EXPECT_THAT(Signal(SIGTERM), ElementsAre("SIGTERM paramserver-0"));
  EXPECT_THAT(Ready(0), IsEmpty());
  Exits(kServer0, {0, 0});
  EXPECT_EQ(run_->outcome().exit_code, 143);
}

TEST_F(SupervisionTest, CtrlCCancelsARestart) {
  Up();
  Exits(kWorker0, kKilled);
  EXPECT_THAT(Signal(SIGINT), ElementsAre("SIGTERM worker-1"));
  EXPECT_THAT(Advance(milliseconds(200)), IsEmpty());
}

TEST_F(SupervisionTest, ASecondCtrlCKillsWhatIsLeft) {
  Up();
  Signal(SIGINT);
  Exits(kWorker0, {0, SIGTERM});
  EXPECT_THAT(Signal(SIGINT), ElementsAre("SIGKILL worker-1", "SIGKILL paramserver-0"));
  Exits(kServer0, kKilled);
  Exits(kWorker1, kKilled);
  ASSERT_TRUE(run_->finished());
  EXPECT_EQ(run_->outcome().exit_code, 130);
}

TEST_F(SupervisionTest, CtrlCAfterTheSuccessOnlyHurries) {
  Up();
  State("Succeeded");
  EXPECT_THAT(Signal(SIGINT), ElementsAre("SIGTERM worker-0", "SIGTERM worker-1"));
  Exits(kWorker0, kSucceeded);
  Exits(kWorker1, kSucceeded);
  Exits(kServer0, {0, 0});
  EXPECT_EQ(run_->outcome().exit_code, 0);
}

TEST_F(SupervisionTest, AWorkerThatIgnoresCtrlCIsKilled) {
  Up();
  Signal(SIGINT);
  EXPECT_EQ(Wake(), seconds(10));
  EXPECT_THAT(Advance(seconds(10)), ElementsAre("SIGKILL worker-0", "SIGKILL worker-1"));
}

TEST_F(SupervisionTest, AJobThatRunsTooLongFails) {
  Make({.deadline = seconds(60)});
  Up();
  EXPECT_EQ(Wake(), seconds(60));
  Exits(kWorker0, kKilled);
  EXPECT_EQ(Wake(), milliseconds(200));
  EXPECT_THAT(Advance(seconds(60)), ElementsAre("SIGTERM worker-1"));
  Exits(kWorker1, {0, SIGTERM});
  Exits(kServer0, {0, 0});
  EXPECT_EQ(run_->outcome().exit_code, 1);
  EXPECT_EQ(run_->outcome().reason, "DeadlineExceeded");
  EXPECT_EQ(run_->outcome().message,
            "ran for longer than spec.runPolicy.activeDeadlineSeconds: 60 s");
}

TEST_F(SupervisionTest, AJobThatFinishesInTimeIsNotCaughtByItsDeadline) {
  Make({.deadline = seconds(60)});
  Up();
  Advance(seconds(59));
  State("Succeeded");
  EXPECT_THAT(Advance(seconds(2)), IsEmpty());
  Exits(kWorker0, kSucceeded);
  Exits(kWorker1, kSucceeded);
  Exits(kServer0, {0, 0});
  EXPECT_EQ(run_->outcome().exit_code, 0);
}

}  // namespace
}  // namespace elephas::cli
