#include "operator/rules/outcome.h"

#include <algorithm>

#include "common/base/names.h"
#include "common/base/program.h"

namespace elephas {

namespace {

JobEnd EndFrom(const Job& job, const Progress& progress) {
  JobEnd end;
  end.succeeded = progress.succeeded();
  end.progress = progress;
  if (end.succeeded) {
    end.reason = names::kJobSucceeded;
    end.message = "the results are below " + job.spec.output_uri;
  } else {
    const bool named = IsReason(progress.reason);
    end.reason = named ? progress.reason : std::string(names::kFailed);
    end.message = progress.message;
    if (!named && !progress.reason.empty()) {
      end.message = progress.reason + ": " + progress.message;
    }
  }
  return end;
}

// Does server 0 still know what it told a worker that ended then?
bool Remembers(const Pod* server, std::int64_t worker_ended_ms) {
  if (server == nullptr || server->deleting) return false;
  if (EndedWithJob(*server)) return true;
  return server->running_ms != 0 && server->running_ms <= worker_ended_ms;
}

// What a worker was told before server 0 forgot it. A worker ends with 0 only when the server has
// said that the outputs are written, and with 3 only when the server has said that the job failed.
std::optional<JobEnd> ToldByWorkers(const Observed& observed, const Pod* server) {
  for (const Pod& pod : observed.pods) {
    if (pod.role != PodRole::kWorker || !pod.end || Remembers(server, pod.end->finished_ms)) {
      continue;
    }
    if (pod.end->exit_code == kExitSuccess) {
      return JobEnd{true, std::string(names::kJobSucceeded),
                    "the outputs were written; server 0 died before it told its final numbers",
                    observed.progress};
    }
    if (pod.end->exit_code == kExitJobFailed) {
      return JobEnd{false, "WorkerError",
                    pod.name + " was told that the job failed: " + pod.end->message,
                    observed.progress};
    }
  }
  return std::nullopt;
}

// A server that cannot begin, and says that another try will not mend it: the folder of its
// checkpoints cannot be written, or holds damaged ones only.
std::optional<JobEnd> RefusedByServer(const Observed& observed) {
  for (const Pod& pod : observed.pods) {
    if (pod.role != PodRole::kServer || pod.deleting) continue;
    for (const auto& end : {pod.end, pod.previous_end}) {
      if (!end || end->exit_code == 0) continue;
      const auto told = ProgressFromMessage(end->message);
      if (!told || told->state != names::kFailed || told->reason.empty()) continue;
      return JobEnd{false, told->reason, pod.name + ": " + told->message, observed.progress};
    }
  }
  return std::nullopt;
}

}  // namespace

bool EndedWithJob(const Pod& server) {
  if (!server.end || server.end->exit_code != 0) return false;
  const auto told = ProgressFromMessage(server.end->message);
  return told && told->over();
}

std::optional<JobEnd> Outcome(const Job& job, const Observed& observed) {
  const Pod* server = nullptr;
  for (const Pod& pod : observed.pods) {
    if (pod.role != PodRole::kServer || pod.index != 0) continue;
    if (EndedWithJob(pod)) return EndFrom(job, *ProgressFromMessage(pod.end->message));
    server = &pod;  // sorted by attempt: the newest
  }
  if (auto end = ToldByWorkers(observed, server)) return end;
  if (auto end = RefusedByServer(observed)) return end;
  // A server that told the end and went before its message was kept.
  const bool gone = server == nullptr || server->deleting || server->phase == PodPhase::kFailed;
  if (gone && observed.progress && observed.progress->over()) {
    return EndFrom(job, *observed.progress);
  }
  return std::nullopt;
}

}  // namespace elephas
