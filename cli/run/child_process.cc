#include "cli/run/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "common/base/own_file.h"

namespace elephas::cli {

namespace {

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> MergedEnvironment(const std::vector<std::string>& changes) {
  std::vector<std::string> merged = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    const std::string_view name = variable.substr(0, variable.find('='));
    const bool replaced = std::any_of(changes.begin(), changes.end(), [&](std::string_view change) {
      return change.substr(0, change.find('=')) == name;
    });
    if (!replaced) merged.emplace_back(variable);
  }
  return merged;
}

// In the child, between fork and exec: only what is safe there, and nothing that allocates.
[[noreturn]] void Become(char* const* arguments, char* const* environment, int log, int failure,
                         pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0) dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execve(arguments[0], arguments, environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t told = write(failure, &error, sizeof error);
  _exit(127);
}

Status SystemError(const std::string& what) { return Internal(what + ": " + std::strerror(errno)); }

}  // namespace

Result<pid_t> StartProgram(const Command& command) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = MergedEnvironment(command.environment);
  const std::vector<char*> argv = Pointers(arguments), envp = Pointers(environment);
  const std::string& program = arguments.at(0);

  ELEPHAS_ASSIGN_OR_RETURN(const int log,
                           OpenOwnFile(command.log_file, O_WRONLY | O_CREAT | O_APPEND));
  // Closed by exec; bytes in it are the errno of an exec that failed.
  int failure[2];
  if (pipe2(failure, O_CLOEXEC) != 0) {
    const Status status = SystemError("pipe");
    close(log);
    return status;
  }
  const pid_t parent = getpid(), child = fork();
  if (child == 0) Become(argv.data(), envp.data(), log, failure[1], parent);
  const Status forked = child < 0 ? SystemError("cannot start " + program) : OkStatus();
  close(log);
  close(failure[1]);
  int error = 0;
  const ssize_t size = child < 0 ? 0 : read(failure[0], &error, sizeof error);
  close(failure[0]);
  if (!forked.ok()) return forked;
  if (size == static_cast<ssize_t>(sizeof error)) {
    waitpid(child, nullptr, 0);
    return Internal("cannot start " + program + ": " + std::strerror(error));
  }
  return child;
}

std::optional<Exit> Reap(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, WNOHANG) != pid) return std::nullopt;
  if (WIFSIGNALED(status)) return Exit{0, WTERMSIG(status)};
  return Exit{WEXITSTATUS(status), 0};
}

}  // namespace elephas::cli
