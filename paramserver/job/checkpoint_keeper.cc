#include "paramserver/job/checkpoint_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/log.h"
#include "common/base/names.h"
#include "common/storage/folder_probe.h"

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

CheckpointKeeper::CheckpointKeeper(Options options, const Clock& clock, EventLog& events,
                                   std::function<void()> fenced)
    : options_(std::move(options)), clock_(clock), events_(events), on_fenced_(std::move(fenced)) {}

void CheckpointKeeper::Warn(std::string_view reason, const std::string& message) {
  LogWarning("checkpoints", {{"reason", std::string(reason)}, {"message", message}});
  events_.Add(std::string(reason), message);
  warnings_.push_back({std::string(reason), message});
}

Status CheckpointKeeper::Open() {
  if (options_.folder.empty()) return OkStatus();
  Result<CheckpointFolder> opened =
      CheckpointFolder::Open(options_.folder, options_.uid, options_.server, options_.servers);
  if (opened.status().code() == Code::kForbidden) {
    std::string message = opened.status().message();
    message.append("; ").append(WayOut("spec.parameterServers.template", "spec.checkpoint.uri"));
    return Forbidden(std::move(message));
  }
  ELEPHAS_ASSIGN_OR_RETURN(folder_, std::move(opened));
  ELEPHAS_RETURN_IF_ERROR(Find());
  writer_ = std::make_unique<CheckpointWriter>(
      *folder_, keep(), [this](const CheckpointWriter::Report& report) { Done(report); });
  return OkStatus();
}

Status CheckpointKeeper::Find() {
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
  const MutexLock lock(mutex_);
  cuts_.insert(found.whole.begin(), found.whole.end());
  return OkStatus();
}

// The job has no checkpoint of its own yet, but may have begun to continue a run before.
Status CheckpointKeeper::ContinueLatest() {
  const std::vector<CheckpointFolder::Run> others = folder_->OtherRuns();
  const auto run = std::ranges::find_if(
      others, [](const CheckpointFolder::Run& other) { return other.cut > 0; });
  if (run != others.end()) {
    folder_->Continue(run->uid, run->cut);
    return OkStatus();
  }
  if (!others.empty() && options_.server == 0) {
    std::string message = "nothing to resume below ";
    message.append(options_.folder).append(": the other runs there have no checkpoint ");
    message.append("of ").append(std::to_string(options_.servers));
    message.append(" parameter servers; set spec.parameterServers.replicas as they had it");
    return NotFound(std::move(message));
  }
  if (others.empty()) {
    Warn("NothingToResume",
         "there is no checkpoint below " + options_.folder + "; the job starts from the beginning");
  }
  return OkStatus();
}

void CheckpointKeeper::TellForeign(const std::vector<CheckpointFolder::Run>& others) {
  if (others.empty()) return;
  std::vector<std::string> runs;
  for (const CheckpointFolder::Run& run : others) {
    std::string text = run.uid;
    if (run.cut > 0) text.append(" (up to epoch ").append(std::to_string(run.cut)).append(")");
    runs.push_back(std::move(text));
  }
  std::string message = options_.folder;
  message.append(" holds checkpoints of other runs, which are neither used nor touched: ");
  message.append(Listed(runs)).append("; to continue the newest, start the job with ");
  message.append("spec.checkpoint.resume: latest (elephas run --resume)");
  Warn(names::kForeignCheckpoints, message);
}

Status CheckpointKeeper::AllDamaged(const std::vector<std::string>& broken) {
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

std::vector<std::int64_t> CheckpointKeeper::Cuts() const {
  const MutexLock lock(mutex_);
  return {cuts_.begin(), cuts_.end()};
}

std::string CheckpointKeeper::ContinuedRun() const {
  return folder_ ? folder_->run() : std::string();
}

std::string CheckpointKeeper::RunThatCounts() const {
  const std::string continued = ContinuedRun();
  return continued.empty() ? options_.uid : continued;
}

void CheckpointKeeper::TakeUpRun(const std::string& uid) {
  if (!folder_ || uid.empty() || uid == RunThatCounts()) return;
  constexpr std::int64_t kAll = std::int64_t{1} << 53;
  folder_->Continue(uid == options_.uid ? "" : uid, kAll);
  const CheckpointFolder::Search found = folder_->Find();
  for (const std::string& broken : found.broken) Warn("CheckpointBroken", broken);
  const MutexLock lock(mutex_);
  cuts_ = {found.whole.begin(), found.whole.end()};
}

Result<Checkpoint> CheckpointKeeper::Load(std::int64_t cut, BufferPool& pool) {
  if (!folder_) return NotFound("there is no checkpoint folder to restore from");
  Result<Checkpoint> loaded = folder_->Load(cut, pool);
  if (loaded.ok()) return loaded;
  const MutexLock lock(mutex_);
  cuts_.erase(cut);  // it was whole once
  return loaded;
}

void CheckpointKeeper::GiveUpAfter(std::int64_t cut) {
  if (!folder_) return;
  folder_->RemoveGivenUp(folder_->claimed());
  const MutexLock lock(mutex_);
  cuts_.erase(cuts_.upper_bound(cut), cuts_.end());
}

Result<Incarnation> CheckpointKeeper::Claim(Incarnation at_least,
                                            std::optional<std::int64_t> after) {
  if (!folder_) return at_least;
  return folder_->Claim(at_least, after);
}

// An incarnation from before this process started is that of a job that is over: nothing is
// written any more. A server 0 whose job goes on chooses one above our claim.
Status CheckpointKeeper::ClaimExactly(Incarnation incarnation, std::int64_t after) {
  if (!folder_ || incarnation <= folder_->claimed()) return OkStatus();
  Status claimed = folder_->ClaimExactly(incarnation, after);
  if (!claimed.ok() && !folder_->CheckFence(folder_->claimed()).ok()) {
    SetFenced(claimed.message());
  }
  return claimed;
}

std::optional<Incarnation> CheckpointKeeper::claimed() const {
  if (!folder_) return std::nullopt;
  return folder_->claimed();
}

Status CheckpointKeeper::CheckFence() {
  if (!folder_) return OkStatus();
  Status fence = folder_->CheckFence(folder_->claimed());
  if (!fence.ok()) SetFenced(fence.message());
  return fence;
}

std::optional<CheckpointFolder> CheckpointKeeper::DueLook(Clock::TimePoint now) {
  if (!folder_ || fenced_ || (looked_ && now - *looked_ < kFenceLook)) return std::nullopt;
  looked_ = now;
  return folder_;
}

void CheckpointKeeper::SetFenced(const std::string& why) {
  {
    const MutexLock lock(mutex_);
    if (!why_fenced_.empty()) return;
    why_fenced_ = why;
  }
  fenced_ = true;
  LogError("fenced", {{"reason", std::string(names::kFenced)}, {"message", why}});
  events_.Add(std::string(names::kFenced), why);
  on_fenced_();
}

std::optional<std::string> CheckpointKeeper::WhyFenced() const {
  if (!fenced_) return std::nullopt;
  const MutexLock lock(mutex_);
  return why_fenced_;
}

bool CheckpointKeeper::Due(std::int64_t trained, std::int64_t last, std::int64_t epochs) const {
  if (!writer_ || trained <= last) return false;
  const std::int64_t every = options_.policy.every_epochs;
  return trained / every > last / every || trained == epochs;
}

void CheckpointKeeper::Submit(Checkpoint checkpoint) {
  writer_->Submit(std::move(checkpoint), options_.servers == 1);
}

void CheckpointKeeper::Drain() {
  if (writer_) writer_->Drain();
}

void CheckpointKeeper::CountStart(std::int64_t cut) {
  const MutexLock lock(mutex_);
  counters_.epoch = cut;
  counters_.unix_millis = clock_.UnixMillis();
}

std::optional<CheckpointCounters> CheckpointKeeper::Counters() const {
  if (!writer_) return std::nullopt;
  const MutexLock lock(mutex_);
  return counters_;
}

void CheckpointKeeper::Done(const CheckpointWriter::Report& report) {
  Count(report);
  const std::string what = "checkpoint of epoch " + std::to_string(report.cut);
  if (report.status.code() == Code::kConflict) return SetFenced(report.status.message());
  if (!report.status.ok()) {
    events_.Add("CheckpointFailed",
                what + ": " + report.status.message() + "; training goes on without it");
    return;
  }
  {
    const MutexLock lock(mutex_);  // as Save() leaves the folder
    cuts_.erase(cuts_.upper_bound(report.cut), cuts_.end());
    cuts_.insert(report.cut);
    while (static_cast<std::int64_t>(cuts_.size()) > keep()) cuts_.erase(cuts_.begin());
  }
  events_.Add("CheckpointWritten", what);
}

void CheckpointKeeper::Count(const CheckpointWriter::Report& report) {
  const MutexLock lock(mutex_);
  if (!report.status.ok()) {
    LogWarning("checkpoint failed", {{"epoch", report.cut}, {"message", report.status.message()}});
    ++counters_.failed;
    return;
  }
  LogInfo("checkpoint written",
          {{"epoch", report.cut}, {"bytes", report.bytes}, {"seconds", report.seconds}});
  ++counters_.written;
  counters_.write_seconds.Observe(report.seconds);
  counters_.bytes = report.bytes;
  counters_.epoch = report.cut;
  counters_.unix_millis = clock_.UnixMillis();
}

}  // namespace elephas
