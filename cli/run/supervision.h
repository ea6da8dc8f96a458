// What a local run does when: which processes start, start again and stop, and how the run ends.
//
// Pure: no processes, no clock of its own. The caller tells what happened, carries out the actions
// it is given, in order, and asks again; see local_run.cc.
//
//   starting     server 0 comes up; the others need its address
//   running      the rest comes up; what dies is started again, with growing pauses
//   leaving      the job has ended; workers see that and go by themselves
//   workers      what is left of the workers is told to stop, later made to
//   servers      then the servers: they outlive the workers so that nobody waits for a dead one
//   finished     nothing runs
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/terminal/outcome.h"
#include "cli/terminal/process_name.h"
#include "common/base/clock.h"

namespace elephas::cli {

struct StartProcess {
  ProcessId process;
  friend bool operator==(const StartProcess&, const StartProcess&) = default;
};
struct SignalProcess {
  ProcessId process;
  int signal = 0;
  friend bool operator==(const SignalProcess&, const SignalProcess&) = default;
};
using Action = std::variant<StartProcess, SignalProcess, TellRestart>;

struct SupervisionOptions {
  int servers = 1, workers = 1;
  std::int64_t backoff_limit = 6;  // restarts over the whole run
  std::optional<std::chrono::seconds> deadline = {};
  std::chrono::milliseconds first_pause{200}, longest_pause{10000};
  std::chrono::milliseconds healthy_after{60000};  // after so long alive, pauses begin anew
  std::chrono::milliseconds leave_grace{30000};    // for workers to see that the job succeeded
  std::chrono::milliseconds failed_grace{3000};    // … or that it failed
  std::chrono::milliseconds status_grace{5000};    // to read the final status
  std::chrono::milliseconds stop_grace{10000};     // between SIGTERM and SIGKILL
};

class Supervision {
 public:
  using TimePoint = Clock::TimePoint;
  using Actions = std::vector<Action>;

  explicit Supervision(SupervisionOptions options);

  Actions Begin(TimePoint now);
  // The server listens: its port file is there.
  Actions ServerReady(int index, TimePoint now);
  // Of a process that was started; also when it could not be started.
  Actions Exited(ProcessId process, Exit exit, TimePoint now);
  // What the server's status says; only "Succeeded" and "Failed" end the job.
  Actions JobState(const std::string& state, const std::string& reason, const std::string& message,
                   TimePoint now);
  // A second one does not wait any longer.
  Actions Interrupted(int signal, TimePoint now);
  // Whenever NextWake() is over.
  Actions Tick(TimePoint now);

  [[nodiscard]] std::optional<TimePoint> NextWake() const;
  [[nodiscard]] bool finished() const { return phase_ == Phase::kFinished; }
  // Is the job over, so that no progress is to be expected?
  [[nodiscard]] bool ending() const { return phase_ > Phase::kRunning; }
  // A server that was started and has not reported its port yet.
  [[nodiscard]] bool AwaitsServer(int index) const;
  // Precondition: finished().
  [[nodiscard]] const Outcome& outcome() const { return outcome_; }

 private:
  enum class Phase : std::uint8_t { kStarting, kRunning, kLeaving, kWorkers, kServers, kFinished };
  struct Process {
    bool alive = false;
    bool ready = false;                // servers: was there once
    std::optional<TimePoint> restart;  // when to start it again
    TimePoint started;
    int crashes = 0;  // in a row
  };

  void Start(ProcessId process, TimePoint now, Actions& actions);
  void Crashed(ProcessId process, Exit exit, TimePoint now, Actions& actions);
  void Leave(bool succeeded, TimePoint now);
  void Fail(Outcome outcome, TimePoint now, Actions& actions);
  void StopRole(Role role, int signal, Actions& actions);
  // Goes on to the next phase while there is nothing left to wait for in this one.
  void Advance(TimePoint now, Actions& actions);
  [[nodiscard]] bool AnyAlive(Role role) const;
  [[nodiscard]] std::chrono::milliseconds Pause(int crashes) const;

  SupervisionOptions options_;
  Phase phase_ = Phase::kStarting;
  std::map<ProcessId, Process> processes_;
  std::int64_t restarts_ = 0;
  std::optional<TimePoint> job_deadline_;
  std::optional<TimePoint> phase_deadline_;  // leaving, workers, servers: then less gently
  bool status_seen_ = false;                 // the final one
  bool interrupted_ = false;
  Outcome outcome_;
};

}  // namespace elephas::cli
