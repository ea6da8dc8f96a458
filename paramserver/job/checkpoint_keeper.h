// The checkpoint folder of a job: what the job goes on from, what it has written, and whether the
// folder is still this process's to write. Without a folder it keeps nothing and answers so.
//
// One thread at a time calls it, but for the functions that say "any thread". The writer reports on
// a thread of its own, which must not wait for a caller that waits for the writer: what it changes
// has a mutex of its own, the last that anybody takes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "paramserver/checkpoint/checkpoint.h"
#include "paramserver/checkpoint/writer.h"
#include "paramserver/job/event_log.h"
#include "paramserver/job/job_counters.h"

namespace elephas {

class CheckpointKeeper {
 public:
  struct Options {
    std::string folder;  // empty: none
    std::string uid;
    Resume resume = Resume::kOwn;
    std::int64_t server = 0, servers = 1;
    JobSpec::Checkpoint policy;
  };
  // `clock` and `events` must outlive the keeper; `fenced` is called once, on any thread, when
  // another process has taken over.
  CheckpointKeeper(Options options, const Clock& clock, EventLog& events,
                   std::function<void()> fenced);

  // Opens the folder and looks what is there. Errors as JobService::Create().
  Status Open();
  [[nodiscard]] bool has_folder() const { return folder_.has_value(); }

  // --- what there is ---
  // Whole checkpoints, in growing order. Any thread.
  [[nodiscard]] std::vector<std::int64_t> Cuts() const;
  // The run whose checkpoints count: the job's own, or the one that it continues.
  [[nodiscard]] std::string RunThatCounts() const;
  // The run that is continued; empty: none.
  [[nodiscard]] std::string ContinuedRun() const;
  // As server 0 says: only checkpoints of this run count. Two runs never make a common cut.
  void TakeUpRun(const std::string& uid);
  // kNotFound without a folder. What cannot be loaded does not count any more.
  Result<Checkpoint> Load(std::int64_t cut, BufferPool& pool);
  // The servers go back to `cut`: newer checkpoints belong to a course of events that is over.
  // Together with those of other servers that are trained from here they would make a common cut
  // that never was.
  void GiveUpAfter(std::int64_t cut);

  // --- the fence ---
  // As CheckpointFolder::Claim and ClaimExactly; without a folder nobody else can claim.
  Result<Incarnation> Claim(Incarnation at_least, std::optional<std::int64_t> after);
  Status ClaimExactly(Incarnation incarnation, std::int64_t after);
  // The last one that was claimed; nothing without a folder.
  [[nodiscard]] std::optional<Incarnation> claimed() const;
  // Looks now whether the folder is still ours, and remembers when it is not.
  Status CheckFence();
  // The folder to look at when the last look is a few seconds old; nothing: not now. The storage
  // may be slow: who must not wait looks by itself, and calls SetFenced().
  std::optional<CheckpointFolder> DueLook(Clock::TimePoint now);
  // Any thread, the next two too.
  void SetFenced(const std::string& why);
  [[nodiscard]] bool fenced() const { return fenced_; }
  [[nodiscard]] std::optional<std::string> WhyFenced() const;

  // --- writing ---
  // Whether one is due when `trained` of `epochs` are, and the newest is of `last`.
  [[nodiscard]] bool Due(std::int64_t trained, std::int64_t last, std::int64_t epochs) const;
  // As CheckpointWriter::Submit. Precondition: a folder.
  void Submit(Checkpoint checkpoint);
  // Returns when nothing waits to be written. Any thread.
  void Drain();

  // --- watching; any thread ---
  // An incarnation began from `cut`.
  void CountStart(std::int64_t cut);
  // Nothing without a folder.
  [[nodiscard]] std::optional<CheckpointCounters> Counters() const;

  struct Warning {
    std::string reason, message;
  };
  // What people should look at.
  [[nodiscard]] const std::vector<Warning>& warnings() const { return warnings_; }

 private:
  Status Find();
  Status ContinueLatest();
  Status AllDamaged(const std::vector<std::string>& broken);
  void TellForeign(const std::vector<CheckpointFolder::Run>& others);
  void Warn(std::string_view reason, const std::string& message);
  void Done(const CheckpointWriter::Report& report);
  void Count(const CheckpointWriter::Report& report);
  // Servers lag behind each other by the checkpoints that wait to be written; a few more files
  // keep one that all of them have.
  [[nodiscard]] std::int64_t keep() const {
    return options_.policy.keep + (options_.servers > 1 ? 3 : 0);
  }

  const Options options_;
  const Clock& clock_;
  EventLog& events_;
  const std::function<void()> on_fenced_;
  std::optional<CheckpointFolder> folder_;
  std::optional<Clock::TimePoint> looked_;  // at the fence
  std::vector<Warning> warnings_;

  mutable Mutex mutex_;
  std::set<std::int64_t> cuts_ ELEPHAS_GUARDED_BY(mutex_);
  CheckpointCounters counters_ ELEPHAS_GUARDED_BY(mutex_);
  std::string why_fenced_ ELEPHAS_GUARDED_BY(mutex_);
  std::atomic<bool> fenced_ = false;

  std::unique_ptr<CheckpointWriter> writer_;  // last, so that it stops first
};

}  // namespace elephas
