// The checkpoint folder: what a job goes on from, what it has written, and whether the folder is
// still this process's to write.
#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/base/names.h"
#include "common/storage/folder_probe.h"
#include "paramserver/job/job_service_impl.h"

namespace elephas {

namespace {

constexpr std::chrono::seconds kFenceLook{5};
constexpr std::size_t kMaxNamed = 5;

// "a; b; and 3 more"
std::string Listed(const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kMaxNamed); ++i) {
    if (i > 0) text.append("; ");
    text.append(items[i]);
  }
  if (items.size() > kMaxNamed) {
    text.append("; and ").append(std::to_string(items.size() - kMaxNamed)).append(" more");
  }
  return text;
}

}  // namespace

void JobServiceImpl::Warn(std::string_view reason, const std::string& message) {
  LogWarning("checkpoints", {{"reason", std::string(reason)}, {"message", message}});
  events_.Add(std::string(reason), message);
  warnings_.push_back({std::string(reason), message});
}

Status JobServiceImpl::OpenCheckpoints() {
  Result<CheckpointFolder> opened =
      CheckpointFolder::Open(options_.checkpoint_folder, options_.uid, options_.server_index,
                             spec_.parameter_servers.replicas);
  if (opened.status().code() == Code::kForbidden) {
    std::string message = opened.status().message();
    message.append("; ").append(WayOut("spec.parameterServers.template", "spec.checkpoint.uri"));
    return Forbidden(std::move(message));
  }
  ELEPHAS_ASSIGN_OR_RETURN(folder_, std::move(opened));
  ELEPHAS_RETURN_IF_ERROR(FindCheckpoints());
  // Servers lag behind each other by the checkpoints that wait to be written; a few more files
  // keep one that all of them have.
  const std::int64_t lag = spec_.parameter_servers.replicas > 1 ? 3 : 0;
  const std::int64_t keep = policy_.keep + lag;
  writer_ = std::make_unique<CheckpointWriter>(
      *folder_, keep,
      [this, keep](const CheckpointWriter::Report& report) { CheckpointDone(report, keep); });
  return OkStatus();
}

Status JobServiceImpl::FindCheckpoints() {
  CheckpointFolder::Search found = folder_->Find();
  if (found.whole.empty() && found.broken.empty()) {
    if (options_.resume == Resume::kLatest) {
      ELEPHAS_RETURN_IF_ERROR(ContinueLatest());
      found = folder_->Find();
    } else {
      TellForeign(folder_->OtherRuns());
    }
  }
  for (const std::string& broken : found.broken) Warn("CheckpointBroken", broken);
  if (found.whole.empty() && !found.broken.empty()) {
    ELEPHAS_RETURN_IF_ERROR(AllDamaged(found.broken));
  }
  const std::lock_guard lock(cuts_mutex_);
  cuts_.insert(found.whole.begin(), found.whole.end());
  return OkStatus();
}

// The job has no checkpoint of its own yet, but may have begun to continue a run before.
Status JobServiceImpl::ContinueLatest() {
  const std::vector<CheckpointFolder::Run> others = folder_->OtherRuns();
  const auto run = std::ranges::find_if(
      others, [](const CheckpointFolder::Run& other) { return other.cut > 0; });
  if (run != others.end()) {
    folder_->Continue(run->uid, run->cut);
    return OkStatus();
  }
  if (!others.empty() && coordinates()) {
    std::string message = "nothing to resume below ";
    message.append(options_.checkpoint_folder).append(": the other runs there have no checkpoint ");
    message.append("of ").append(std::to_string(spec_.parameter_servers.replicas));
    message.append(" parameter servers; set spec.parameterServers.replicas as they had it");
    return NotFound(std::move(message));
  }
  if (others.empty()) {
    Warn("NothingToResume", "there is no checkpoint below " + options_.checkpoint_folder +
                                "; the job starts from the beginning");
  }
  return OkStatus();
}

void JobServiceImpl::TellForeign(const std::vector<CheckpointFolder::Run>& others) {
  if (others.empty()) return;
  std::vector<std::string> runs;
  for (const CheckpointFolder::Run& run : others) {
    std::string text = run.uid;
    if (run.cut > 0) text.append(" (up to epoch ").append(std::to_string(run.cut)).append(")");
    runs.push_back(std::move(text));
  }
  std::string message = options_.checkpoint_folder;
  message.append(" holds checkpoints of other runs, which are neither used nor touched: ");
  message.append(Listed(runs)).append("; to continue the newest, start the job with ");
  message.append("spec.checkpoint.resume: latest (elephas run --resume)");
  Warn(names::kForeignCheckpoints, message);
}

Status JobServiceImpl::AllDamaged(const std::vector<std::string>& broken) {
  std::string message = "all ";
  message.append(std::to_string(broken.size())).append(" checkpoints that the job could go on ");
  message.append("from are damaged: ").append(Listed(broken));
  if (options_.resume == Resume::kRestart) {
    Warn("StartedOver", message + "; spec.checkpoint.resume is restart, so the job starts over");
    folder_->Continue("", 0);
    return OkStatus();
  }
  message.append("; put whole ones in their place, or start the job with ");
  message.append("spec.checkpoint.resume: restart to begin again from epoch 0");
  return Gone(std::move(message));
}

std::vector<std::int64_t> JobServiceImpl::Cuts() const {
  const std::lock_guard lock(cuts_mutex_);
  return {cuts_.begin(), cuts_.end()};
}

std::string JobServiceImpl::RunThatCounts() const {
  return folder_ && !folder_->run().empty() ? folder_->run() : options_.uid;
}

// Only what server 0 chose: checkpoints of two runs never make a common cut.
void JobServiceImpl::TakeUpRun(const std::string& uid) {
  if (!folder_ || uid.empty() || uid == RunThatCounts()) return;
  constexpr std::int64_t kAll = std::int64_t{1} << 53;
  folder_->Continue(uid == options_.uid ? "" : uid, kAll);
  const CheckpointFolder::Search found = folder_->Find();
  for (const std::string& broken : found.broken) Warn("CheckpointBroken", broken);
  const std::lock_guard lock(cuts_mutex_);
  cuts_ = {found.whole.begin(), found.whole.end()};
}

void JobServiceImpl::CheckpointDone(const CheckpointWriter::Report& report, std::int64_t keep) {
  CountCheckpoint(report);
  const std::string what = "checkpoint of epoch " + std::to_string(report.cut);
  if (report.status.code() == Code::kConflict) return SetFenced(report.status.message());
  if (!report.status.ok()) {
    events_.Add("CheckpointFailed",
                what + ": " + report.status.message() + "; training goes on without it");
    return;
  }
  {
    const std::lock_guard lock(cuts_mutex_);  // as Save() leaves the folder
    cuts_.erase(cuts_.upper_bound(report.cut), cuts_.end());
    cuts_.insert(report.cut);
    while (static_cast<std::int64_t>(cuts_.size()) > keep) cuts_.erase(cuts_.begin());
  }
  events_.Add("CheckpointWritten", what);
}

void JobServiceImpl::CountCheckpoint(const CheckpointWriter::Report& report) {
  const std::lock_guard lock(cuts_mutex_);
  if (!report.status.ok()) {
    LogWarning("checkpoint failed", {{"epoch", report.cut}, {"message", report.status.message()}});
    ++checkpoints_.failed;
    return;
  }
  LogInfo("checkpoint written",
          {{"epoch", report.cut}, {"bytes", report.bytes}, {"seconds", report.seconds}});
  ++checkpoints_.written;
  checkpoints_.write_seconds.Observe(report.seconds);
  checkpoints_.bytes = report.bytes;
  checkpoints_.epoch = report.cut;
  checkpoints_.unix_millis = clock_.UnixMillis();
}

void JobServiceImpl::SetFenced(const std::string& why) {
  {
    const std::lock_guard lock(cuts_mutex_);
    if (!fenced_why_.empty()) return;
    fenced_why_ = why;
  }
  fenced_ = true;
  LogError("fenced", {{"reason", std::string(names::kFenced)}, {"message", why}});
  events_.Add(std::string(names::kFenced), why);
  changed_.notify_all();
}

std::optional<std::string> JobServiceImpl::Fenced() {
  std::optional<CheckpointFolder> folder;
  {
    const std::lock_guard lock(mutex_);
    const Clock::TimePoint now = clock_.Now();
    if (folder_ && !fenced_ && (!fence_seen_ || now - *fence_seen_ >= kFenceLook)) {
      fence_seen_ = now;
      folder = folder_;
    }
  }
  // Outside of the lock: the storage may be slow.
  if (folder) {
    const Status fence = folder->CheckFence(folder->claimed());
    if (!fence.ok()) SetFenced(fence.message());
  }
  if (!fenced_) return std::nullopt;
  const std::lock_guard lock(cuts_mutex_);
  return fenced_why_;
}

}  // namespace elephas
