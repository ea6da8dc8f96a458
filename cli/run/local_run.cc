#include "cli/run/local_run.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "cli/run/child_process.h"
#include "cli/run/run_folder.h"
#include "cli/run/status_watcher.h"
#include "cli/run/supervision.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/own_file.h"
#include "common/base/utf8.h"
#include "common/storage/hidden_rows.h"
#include "common/storage/output_claim.h"

namespace elephas::cli {

namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kPortFileInterval{5};
constexpr std::size_t kLogTailLines = 10;

std::string ProgramFolder() {
  // For tests: fake programs in place of those beside this one.
  if (const char* folder = std::getenv("ELEPHAS_BIN_DIR"); folder != nullptr && *folder != '\0')
    return folder;
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

Result<std::string> FindProgram(const std::string& name) {
  const std::string path = ProgramFolder() + "/" + name;
  if (access(path.c_str(), X_OK) == 0) return path;
  return NotFound("cannot run " + path + ": " + std::strerror(errno) +
                  "; elephas expects it in its own folder");
}

// `count` ports of this machine from `first` on can be listened on. Errors begin with `what`.
Status CheckPorts(const std::string& what, std::int64_t first, std::int64_t count) {
  for (std::int64_t port = first; port < first + count; ++port) {
    if (port > 65535) {
      return Invalid(what + ": port " + std::to_string(port) +
                     " would be needed, but ports end at 65535");
    }
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return Internal(std::string("socket: ") + std::strerror(errno));
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool taken = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
                       listen(fd, 1) != 0;
    const std::string reason = std::strerror(errno);
    close(fd);
    if (taken) {
      return Unavailable(what + ": port " + std::to_string(port) +
                         " of 127.0.0.1 cannot be used: " + reason);
    }
  }
  return OkStatus();
}

// Says so before anything starts when a port that was named is taken.
Status CheckPorts(const JobSpec& spec, const std::optional<std::uint16_t>& metrics_port) {
  const std::int64_t servers = spec.parameter_servers.replicas;
  if (spec.parameter_servers.port) {
    ELEPHAS_RETURN_IF_ERROR(
        CheckPorts("spec.parameterServers.port", *spec.parameter_servers.port, servers));
  }
  if (!metrics_port) return OkStatus();
  return CheckPorts("--metrics-port", *metrics_port, servers + spec.workers.replicas);
}

// From here on these signals only arrive at the descriptor.
Result<int> OpenSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&signals, number);
  // nohup means that the end of the terminal is not the end of the job.
  struct sigaction hangup{};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return Internal(std::string("signalfd: ") + std::strerror(errno));
  return fd;
}

class LocalRun {
 public:
  LocalRun(const ParsedManifest& manifest, const LocalRunOptions& options, Reporter& reporter,
           RunFolder folder, std::string uid, std::string server_program,
           std::string worker_program, int signals)
      : spec_(manifest.spec),
        options_(options),
        reporter_(reporter),
        folder_(std::move(folder)),
        uid_(std::move(uid)),
        server_program_(std::move(server_program)),
        worker_program_(std::move(worker_program)),
        signals_(signals),
        supervision_(Limits(manifest.spec)) {}
  ~LocalRun() { close(signals_); }
  LocalRun(const LocalRun&) = delete;
  LocalRun& operator=(const LocalRun&) = delete;

  int Run() {
    const auto start = Now();
    reporter_.Started({spec_.name, uid_, std::string(Word(spec_.task)),
                       std::string(Word(spec_.mode)), std::string(Word(spec_.frequency)),
                       spec_.parameter_servers.replicas, spec_.workers.replicas, folder_.path()});
    Apply(supervision_.Begin(start));
    while (!supervision_.finished()) {
      Wait();
      ReadSignals();
      ReadPortFiles();
      ReadStatus();
      ReportFailedStarts();
      Apply(supervision_.Tick(Now()));
    }
    watcher_.reset();
    Report(std::chrono::duration<double>(Now() - start).count());
    return supervision_.outcome().exit_code;
  }

 private:
  static SupervisionOptions Limits(const JobSpec& spec) {
    SupervisionOptions options;
    options.servers = static_cast<int>(spec.parameter_servers.replicas);
    options.workers = static_cast<int>(spec.workers.replicas);
    options.backoff_limit = spec.run_policy.backoff_limit;
    if (const auto seconds = spec.run_policy.active_deadline_seconds) {
      options.deadline = std::chrono::seconds(*seconds);
    }
    return options;
  }

  [[nodiscard]] Clock::TimePoint Now() const { return clock_.Now(); }

  [[nodiscard]] bool AwaitsPort() const {
    for (int i = 0; i < spec_.parameter_servers.replicas; ++i) {
      if (supervision_.AwaitsServer(i)) return true;
    }
    return false;
  }

  // Until a signal, a status, the next thing to do, or a look at the port files is due.
  void Wait() {
    std::optional<std::chrono::nanoseconds> timeout;
    if (const auto wake = supervision_.NextWake())
      timeout = std::max(*wake - Now(), Clock::TimePoint::duration(0));
    if (AwaitsPort())
      timeout = std::min<std::chrono::nanoseconds>(timeout.value_or(kPortFileInterval),
                                                   kPortFileInterval);
    if (!failed_starts_.empty()) timeout = std::chrono::nanoseconds(0);
    pollfd events[2] = {{signals_, POLLIN, 0}, {watcher_ ? watcher_->fd() : -1, POLLIN, 0}};
    // Rounded up, or the loop would spin through the last millisecond.
    const auto millis =
        timeout ? std::chrono::ceil<std::chrono::milliseconds>(*timeout).count() : -1;
    poll(events, 2, static_cast<int>(std::min<std::int64_t>(millis, 60'000)));
  }

  void ReadSignals() {
    signalfd_siginfo info{};
    while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      const auto number = static_cast<int>(info.ssi_signo);
      if (number == SIGCHLD) continue;
      reporter_.Stopping(number);
      Apply(supervision_.Interrupted(number, Now()));
    }
    // Several children that end together may be one SIGCHLD.
    const std::map<ProcessId, pid_t> running = pids_;
    for (const auto& [process, pid] : running) {
      const auto exit = Reap(pid);
      if (!exit) continue;
      pids_.erase(process);
      if (watcher_) watcher_->Hurry();
      Apply(supervision_.Exited(process, *exit, Now()));
    }
  }

  void ReadPortFiles() {
    for (int i = 0; i < spec_.parameter_servers.replicas; ++i) {
      if (!supervision_.AwaitsServer(i)) continue;
      const auto port = folder_.ReadPort(i);
      if (!port) continue;
      ports_[i] = *port;
      if (i == 0) {
        watcher_ = std::make_unique<StatusWatcher>(
            StatusWatcher::Options{.url = Url(0), .token = folder_.token()});
        TellAddresses();
      }
      Apply(supervision_.ServerReady(i, Now()));
    }
  }

  void TellAddresses() {
    if (std::exchange(addresses_told_, true)) return;
    RunAddresses addresses;
    addresses.page = Url(0) + "/";
    addresses.token = folder_.token();
    addresses.token_file = folder_.TokenFile();
    const std::int64_t processes = spec_.parameter_servers.replicas + spec_.workers.replicas;
    for (std::int64_t i = 0; options_.metrics_port && i < processes; ++i) {
      addresses.metrics.push_back("127.0.0.1:" + std::to_string(*options_.metrics_port + i));
    }
    reporter_.Serving(addresses);
  }

  // Appends the flags for the metrics of the run's process number `index`, servers first.
  void AddMetricsFlags(Command& command, std::int64_t index) const {
    if (!options_.metrics_port) return;
    command.arguments.insert(command.arguments.end(),
                             {"--metrics-address", "127.0.0.1", "--metrics-port",
                              std::to_string(*options_.metrics_port + index)});
  }

  void ReadStatus() {
    if (!watcher_) return;
    auto status = watcher_->Take();
    if (!status) return;
    status_ = *std::move(status);
    TellWarnings();
    if (!supervision_.ending()) reporter_.Progress(status_);
    Apply(supervision_.JobState(StatusText("state"), StatusText("reason"), StatusText("message"),
                                Now()));
  }

  // Each once: what the servers warn of, and which earlier run is continued.
  void TellWarnings() {
    const auto tell = [&](const std::string& reason, const std::string& message) {
      if (told_warnings_.insert(reason + message).second) reporter_.Note(reason, message);
    };
    const json warnings = status_.value("warnings", json::array());
    for (const json& warning : warnings) {
      if (!warning.is_object()) continue;
      tell(warning.value("reason", ""), warning.value("message", ""));
    }
    const json from = status_.value("resumedFrom", json());
    if (from.is_object()) {
      tell("Resumed", "continuing run " + from.value("uid", "") + " after epoch " +
                          std::to_string(from.value("epoch", std::int64_t{0})));
    }
  }

  // A field of the newest status; empty when it is not there.
  [[nodiscard]] std::string StatusText(const char* name) const {
    const auto found = status_.is_object() ? status_.find(name) : status_.end();
    return found != status_.end() && found->is_string() ? found->get<std::string>() : std::string();
  }

  void ReportFailedStarts() {
    for (const ProcessId process : std::exchange(failed_starts_, {})) {
      Apply(supervision_.Exited(process, {127, 0}, Now()));
    }
  }

  void Apply(const Supervision::Actions& actions) {
    for (const Action& action : actions) {
      if (const auto* start = std::get_if<StartProcess>(&action)) {
        Start(start->process);
      } else if (const auto* signal = std::get_if<SignalProcess>(&action)) {
        if (const auto found = pids_.find(signal->process); found != pids_.end()) {
          kill(found->second, signal->signal);
        }
      } else if (const auto* restart = std::get_if<TellRestart>(&action)) {
        reporter_.Restarting(*restart);
      }
    }
  }

  [[nodiscard]] std::string Url(int server) const {
    return "http://127.0.0.1:" + std::to_string(ports_.at(server));
  }

  void Start(ProcessId process) {
    Command command =
        process.role == Role::kServer ? ServerCommand(process.index) : WorkerCommand(process);
    command.log_file = folder_.LogFile(process);
    const auto pid = StartProgram(command);
    if (pid.ok()) {
      pids_[process] = *pid;
      return;
    }
    // Where the process would have said it itself.
    if (const auto log = OpenOwnFile(command.log_file, O_WRONLY | O_CREAT | O_APPEND); log.ok()) {
      dprintf(*log, "%s\n", pid.status().message().c_str());
      close(*log);
    }
    failed_starts_.push_back(process);
  }

  [[nodiscard]] Command ServerCommand(int index) const {
    const std::string port_file = folder_.PortFile(index);
    unlink(port_file.c_str());  // of the process that died
    // The port of before, so that workers find the server again.
    std::int64_t port = spec_.parameter_servers.port ? *spec_.parameter_servers.port + index : 0;
    if (const auto known = ports_.find(index); known != ports_.end()) port = known->second;
    Command command;
    command.arguments = {server_program_,
                         "--job",
                         folder_.JobFile(),
                         "--uid",
                         uid_,
                         "--index",
                         std::to_string(index),
                         "--base",
                         options_.base,
                         "--address",
                         "127.0.0.1",
                         "--port",
                         std::to_string(port),
                         "--port-file",
                         port_file,
                         "--token-file",
                         folder_.TokenFile()};
    if (index > 0) command.arguments.insert(command.arguments.end(), {"--coordinator", Url(0)});
    if (options_.lease_seconds) {
      command.arguments.insert(command.arguments.end(),
                               {"--lease-seconds", std::to_string(*options_.lease_seconds)});
    }
    if (options_.resume) command.arguments.emplace_back("--resume");
    AddMetricsFlags(command, index);
    return command;
  }

  [[nodiscard]] Command WorkerCommand(ProcessId process) const {
    Command command;
    command.arguments = {worker_program_, "--server",        Url(0),
                         "--name",        ToString(process), "--base",
                         options_.base,   "--token-file",    folder_.TokenFile()};
    AddMetricsFlags(command, spec_.parameter_servers.replicas + process.index);
    // More spinning threads than idle cores make LibTorch many times slower.
    command.environment = {"OMP_NUM_THREADS=" + std::to_string(spec_.workers.threads),
                           "OMP_WAIT_POLICY=passive"};
    return command;
  }

  void Report(double seconds) {
    RunEnd end;
    end.outcome = supervision_.outcome();
    end.status = status_;
    end.seconds = seconds;
    RemoveOutputClaim();
    if (end.outcome.exit_code != kExitSuccess) {
      // What the server says about a failed job is all there is to know; a crash is in the logs.
      const bool told = StatusText("state") == "Failed";
      if (!told && end.outcome.reason != "Interrupted") folder_.Keep();
      if (spec_.checkpoint) {
        end.resume_hint = options_.resume_hint;
      } else {
        RemoveUnfinishedPredictions();
      }
      if (end.outcome.culprit) {
        end.log_file = folder_.LogFile(*end.outcome.culprit);
        end.log_tail = folder_.LogTail(*end.outcome.culprit, kLogTailLines);
      }
      if (folder_.kept()) end.kept_folder = folder_.path();
    }
    reporter_.Ended(end);
  }

  // Workers that were killed or stopped leave their claim behind.
  void RemoveOutputClaim() const {
    const Result<std::string> folder = ResolveUri(PlacesOf(spec_).folder_uri, options_.base);
    if (folder.ok()) OutputClaim::Remove(*folder, uid_);
  }

  // Nobody will go on with them, and the workers, which were stopped, could not do it.
  void RemoveUnfinishedPredictions() const {
    if (spec_.task != TaskKind::kPredict) return;
    const Result<std::string> folder = ResolveUri(PlacesOf(spec_).folder_uri, options_.base);
    if (!folder.ok()) return;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(*folder, error)) {
      if (!IsHiddenRows(entry.path().filename().string(), uid_)) continue;
      std::filesystem::remove(entry.path(), error);
      if (error) {
        LogWarning("file left behind",
                   {{"path", entry.path().string()}, {"message", error.message()}});
      }
    }
  }

  const JobSpec& spec_;
  const LocalRunOptions& options_;
  Reporter& reporter_;
  RunFolder folder_;
  const std::string uid_, server_program_, worker_program_;
  const int signals_;
  const SystemClock clock_;
  Supervision supervision_;
  std::map<ProcessId, pid_t> pids_;  // of what runs
  std::map<int, std::uint16_t> ports_;
  std::vector<ProcessId> failed_starts_;
  std::unique_ptr<StatusWatcher> watcher_;
  bool addresses_told_ = false;
  std::set<std::string> told_warnings_;
  json status_;  // the newest; null before the first
};

}  // namespace

Result<int> RunLocally(const ParsedManifest& manifest, const LocalRunOptions& options,
                       Reporter& reporter) {
  ELEPHAS_ASSIGN_OR_RETURN(std::string server, FindProgram("elephas-paramserver"));
  ELEPHAS_ASSIGN_OR_RETURN(std::string worker, FindProgram("elephas-worker"));
  ELEPHAS_RETURN_IF_ERROR(CheckPorts(manifest.spec, options.metrics_port));
  ELEPHAS_ASSIGN_OR_RETURN(std::string uid, NewUid());
  signal(SIGPIPE, SIG_IGN);
  // Before the folder is there, so that no signal leaves it behind.
  ELEPHAS_ASSIGN_OR_RETURN(const int signals, OpenSignals());
  ELEPHAS_ASSIGN_OR_RETURN(RunFolder folder,
                           RunFolder::Create(options.run_folder, manifest.spec.name));
  ELEPHAS_RETURN_IF_ERROR(folder.Prepare(JsonText(manifest.document, 2)));
  LocalRun run(manifest, options, reporter, std::move(folder), std::move(uid), std::move(server),
               std::move(worker), signals);
  return run.Run();
}

}  // namespace elephas::cli
