#include "cli/run/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

namespace elephas::cli {
namespace {

using ::testing::HasSubstr;

class ChildProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log_ = ::testing::TempDir() + "child-" +
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
    unlink(log_.c_str());
  }
  void TearDown() override { unlink(log_.c_str()); }

  pid_t Shell(const std::string& script, std::vector<std::string> environment = {}) {
    const auto pid = StartProgram({{"/bin/sh", "-c", script}, std::move(environment), log_});
    EXPECT_TRUE(pid.ok()) << pid.status().message();
    return pid.ok() ? *pid : -1;
  }
  // Waits for the end and leaves it to Reap.
  static std::optional<Exit> End(pid_t pid) {
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    return Reap(pid);
  }
  std::string Log() {
    std::ostringstream text;
    text << std::ifstream(log_).rdbuf();
    return text.str();
  }
  std::string log_;
};

TEST_F(ChildProcessTest, OutputGoesToTheLogAndTheEndIsSeen) {
  EXPECT_EQ(End(Shell("echo out; echo err >&2; exit 3")), (Exit{3, 0}));
  EXPECT_EQ(End(Shell("echo more")), (Exit{0, 0}));
  EXPECT_EQ(Log(), "out\nerr\nmore\n");
}

TEST_F(ChildProcessTest, ASignalIsTold) {
  EXPECT_EQ(End(Shell("kill -9 $$")), (Exit{0, SIGKILL}));
  EXPECT_EQ(ToString(Exit{0, SIGKILL}), "was killed by signal 9 (SIGKILL)");
  EXPECT_EQ(ToString(Exit{3, 0}), "exited with code 3");
}

TEST_F(ChildProcessTest, ARunningProcessIsNotReaped) {
  const pid_t pid = Shell("read line < /dev/zero; sleep 600");
  EXPECT_EQ(Reap(pid), std::nullopt);
  kill(-pid, SIGKILL);  // a group of its own
  EXPECT_EQ(End(pid), (Exit{0, SIGKILL}));
}

TEST_F(ChildProcessTest, TheEnvironmentIsOursWithChanges) {
  setenv("ELEPHAS_TEST_KEPT", "kept", 1);
  setenv("OMP_NUM_THREADS", "7", 1);
  End(Shell("echo $ELEPHAS_TEST_KEPT $OMP_NUM_THREADS", {"OMP_NUM_THREADS=2"}));
  EXPECT_EQ(Log(), "kept 2\n");
}

TEST_F(ChildProcessTest, BlockedSignalsOfOursDoNotReachIt) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  const pid_t pid = Shell("kill -TERM $$; echo survived");
  EXPECT_EQ(End(pid), (Exit{0, SIGTERM}));
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(ChildProcessTest, ItDiesWithTheProcessThatStartedIt) {
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const pid_t supervisor = fork();
  if (supervisor == 0) {
    const auto pid = StartProgram({{"/bin/sleep", "600"}, {}, log_});
    const pid_t child = pid.ok() ? *pid : -1;
    const bool good = write(told[1], &child, sizeof child) == sizeof child;
    raise(good ? SIGKILL : SIGABRT);
  }
  close(told[1]);
  pid_t child = -1;
  ASSERT_EQ(read(told[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ASSERT_GT(child, 0);
  waitpid(supervisor, nullptr, 0);
  // The child holds our end of nothing; its death shows in /proc, as a zombie at most.
  const auto gone = [&] {
    std::ifstream status("/proc/" + std::to_string(child) + "/stat");
    std::string text;
    return !std::getline(status, text) || text.find(") Z ") != std::string::npos;
  };
  const time_t deadline = time(nullptr) + 30;
  while (!gone() && time(nullptr) < deadline) usleep(1000);
  EXPECT_TRUE(gone());
  close(told[0]);
}

TEST_F(ChildProcessTest, AProgramThatIsNotThereIsAnError) {
  const auto pid = StartProgram({{"/nowhere/program"}, {}, log_});
  ASSERT_FALSE(pid.ok());
  EXPECT_THAT(pid.status().message(), HasSubstr("cannot start /nowhere/program: No such file"));
}

}  // namespace
}  // namespace elephas::cli
