#include "cli/run/supervision.h"

#include <algorithm>
#include <csignal>

#include "common/base/program.h"

namespace elephas::cli {

Supervision::Supervision(SupervisionOptions options) : options_(options) {
  for (int i = 0; i < options_.servers; ++i) processes_[{Role::kServer, i}] = {};
  for (int i = 0; i < options_.workers; ++i) processes_[{Role::kWorker, i}] = {};
}

Supervision::Actions Supervision::Begin(TimePoint now) {
  if (options_.deadline) job_deadline_ = now + *options_.deadline;
  Actions actions;
  Start({Role::kServer, 0}, now, actions);
  return actions;
}

bool Supervision::AwaitsServer(int index) const {
  const auto found = processes_.find({Role::kServer, index});
  return found != processes_.end() && found->second.alive && !found->second.ready;
}

void Supervision::Start(ProcessId process, TimePoint now, Actions& actions) {
  Process& state = processes_.at(process);
  state.alive = true;
  state.restart.reset();
  state.started = now;
  actions.emplace_back(StartProcess{process});
}

Supervision::Actions Supervision::ServerReady(int index, TimePoint now) {
  Actions actions;
  processes_.at({Role::kServer, index}).ready = true;
  if (phase_ != Phase::kStarting || index != 0) return actions;
  phase_ = Phase::kRunning;
  for (const auto& [process, state] : processes_) {
    if (process != ProcessId{Role::kServer, 0}) Start(process, now, actions);
  }
  return actions;
}

std::chrono::milliseconds Supervision::Pause(int crashes) const {
  const auto doubled = options_.first_pause * (std::int64_t{1} << std::min(crashes - 1, 20));
  return std::min<std::chrono::milliseconds>(doubled, options_.longest_pause);
}

Supervision::Actions Supervision::Exited(ProcessId process, Exit exit, TimePoint now) {
  Actions actions;
  processes_.at(process).alive = false;
  const bool worker = process.role == Role::kWorker;
  if (phase_ <= Phase::kRunning) {
    if (worker && exit == Exit{kExitSuccess, 0}) {
      Leave(true, now);
    } else if (worker && exit == Exit{kExitJobFailed, 0}) {
      Leave(false, now);
      outcome_.culprit = process;
    } else {
      Crashed(process, exit, now, actions);
    }
  }
  Advance(now, actions);
  return actions;
}

void Supervision::Crashed(ProcessId process, Exit exit, TimePoint now, Actions& actions) {
  Process& state = processes_.at(process);
  const std::string what = ToString(process) + " " + ToString(exit);
  // One that gives up before it ever listened has a reason that does not go away.
  if (process.role == Role::kServer && !state.ready && exit.signal == 0) {
    return Fail({kExitFailure, "StartFailed", what + " before it listened", process}, now, actions);
  }
  if (restarts_ >= options_.backoff_limit) {
    const std::string limit = std::to_string(options_.backoff_limit);
    return Fail({kExitFailure, "BackoffLimitExceeded",
                 what + "; spec.runPolicy.backoffLimit allows " + limit + " restarts", process},
                now, actions);
  }
  if (now - state.started >= options_.healthy_after) state.crashes = 0;
  ++state.crashes;
  ++restarts_;
  state.restart = now + Pause(state.crashes);
  actions.emplace_back(TellRestart{process, exit, restarts_, options_.backoff_limit});
}

Supervision::Actions Supervision::JobState(const std::string& state, const std::string& reason,
                                           const std::string& message, TimePoint now) {
  Actions actions;
  const bool succeeded = state == "Succeeded";
  if (!succeeded && state != "Failed") return actions;
  if (phase_ <= Phase::kRunning) Leave(succeeded, now);
  if (phase_ == Phase::kLeaving && !status_seen_) {
    status_seen_ = true;
    outcome_.exit_code = succeeded ? kExitSuccess : kExitFailure;
    outcome_.reason = reason.empty() ? state : reason;
    outcome_.message = message;
    // The server knows why; a worker's log would only say it again.
    outcome_.culprit.reset();
  }
  Advance(now, actions);
  return actions;
}

void Supervision::Leave(bool succeeded, TimePoint now) {
  phase_ = Phase::kLeaving;
  phase_deadline_ = now + (succeeded ? options_.leave_grace : options_.failed_grace);
  outcome_ = {succeeded ? kExitSuccess : kExitFailure, succeeded ? "Succeeded" : "Failed",
              succeeded ? "" : "the job failed and its server did not say why", std::nullopt};
  for (auto& [process, state] : processes_) state.restart.reset();
}

void Supervision::Fail(Outcome outcome, TimePoint now, Actions& actions) {
  outcome_ = std::move(outcome);
  for (auto& [process, state] : processes_) state.restart.reset();
  phase_ = Phase::kWorkers;
  phase_deadline_ = now + options_.stop_grace;
  StopRole(Role::kWorker, SIGTERM, actions);
  Advance(now, actions);
}

Supervision::Actions Supervision::Interrupted(int signal, TimePoint now) {
  Actions actions;
  if (interrupted_) {
    StopRole(Role::kWorker, SIGKILL, actions);
    StopRole(Role::kServer, SIGKILL, actions);
    return actions;
  }
  interrupted_ = true;
  // A job that has succeeded stays so; it only ends sooner.
  const bool over = ending();
  Fail(over ? outcome_
            : Outcome{kExitBySignal + signal, "Interrupted", "stopped by " + SignalName(signal),
                      std::nullopt},
       now, actions);
  return actions;
}

void Supervision::StopRole(Role role, int signal, Actions& actions) {
  for (const auto& [process, state] : processes_) {
    if (process.role == role && state.alive) actions.emplace_back(SignalProcess{process, signal});
  }
}

bool Supervision::AnyAlive(Role role) const {
  return std::any_of(processes_.begin(), processes_.end(), [&](const auto& entry) {
    return entry.first.role == role && entry.second.alive;
  });
}

void Supervision::Advance(TimePoint now, Actions& actions) {
  if (phase_ == Phase::kLeaving) {
    const bool workers = AnyAlive(Role::kWorker), servers = AnyAlive(Role::kServer);
    if (workers && !servers) {  // nobody is left to tell them that the job has ended
      phase_ = Phase::kWorkers;
      phase_deadline_ = now + options_.stop_grace;
      StopRole(Role::kWorker, SIGTERM, actions);
    } else if (!workers && servers && !status_seen_) {
      phase_deadline_ = std::min(*phase_deadline_, now + options_.status_grace);
    } else if (!workers) {
      phase_ = Phase::kWorkers;
    }
  }
  if (phase_ == Phase::kWorkers && !AnyAlive(Role::kWorker)) {
    phase_ = Phase::kServers;
    phase_deadline_ = now + options_.stop_grace;
    StopRole(Role::kServer, SIGTERM, actions);
  }
  if (phase_ == Phase::kServers && !AnyAlive(Role::kServer)) {
    phase_ = Phase::kFinished;
    phase_deadline_.reset();
  }
}

Supervision::Actions Supervision::Tick(TimePoint now) {
  Actions actions;
  if (phase_ <= Phase::kRunning) {
    if (job_deadline_ && now >= *job_deadline_) {
      Fail({kExitFailure, "DeadlineExceeded",
            "ran for longer than spec.runPolicy.activeDeadlineSeconds: " +
                std::to_string(options_.deadline->count()) + " s",
            std::nullopt},
           now, actions);
      return actions;
    }
    for (auto& [process, state] : processes_) {
      if (state.restart && now >= *state.restart) Start(process, now, actions);
    }
    return actions;
  }
  if (!phase_deadline_ || now < *phase_deadline_) return actions;
  phase_deadline_ = now + options_.stop_grace;
  switch (phase_) {
    case Phase::kLeaving:
      phase_ = Phase::kWorkers;
      StopRole(Role::kWorker, SIGTERM, actions);
      Advance(now, actions);
      break;
    case Phase::kWorkers:
      StopRole(Role::kWorker, SIGKILL, actions);
      break;
    case Phase::kServers:
      StopRole(Role::kServer, SIGKILL, actions);
      break;
    default:
      break;
  }
  return actions;
}

std::optional<Supervision::TimePoint> Supervision::NextWake() const {
  if (phase_ > Phase::kRunning) return phase_deadline_;
  std::optional<TimePoint> next = job_deadline_;
  for (const auto& [process, state] : processes_) {
    if (state.restart && (!next || *state.restart < *next)) next = state.restart;
  }
  return next;
}

}  // namespace elephas::cli
