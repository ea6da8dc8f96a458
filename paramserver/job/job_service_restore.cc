// Incarnations: how a server starts, and how all of them go back to one cut together.
#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/base/names.h"
#include "paramserver/job/job_service_impl.h"

namespace elephas {

Status JobServiceImpl::Start() {
  ELEPHAS_RETURN_IF_ERROR(checkpoints_.Open());
  const MutexLock apply_lock(apply_mutex_);
  const MutexLock lock(mutex_);
  const Incarnation now(clock_.UnixMillis());
  if (spec_.parameter_servers.replicas > 1) {
    // RegisterPeer decides; a process of this server that lives on is over as of now.
    return checkpoints_.Claim(now, std::nullopt).status();
  }
  const std::vector<std::int64_t> cuts = checkpoints_.Cuts();
  const std::int64_t cut = cuts.empty() ? 0 : cuts.back();
  ELEPHAS_ASSIGN_OR_RETURN(const Incarnation incarnation, checkpoints_.Claim(now, cut));
  if (cut > 0) return RestoreCut(cut, incarnation);
  Empty(incarnation);
  return OkStatus();
}

void JobServiceImpl::Empty(Incarnation incarnation) {
  incarnations_.Begin(incarnation);
  counters_.leases_voided += coordinator_.leases().size();
  coordinator_.Reset();
  checkpoints_.CountStart(0);
  group_.Reset();
  training_.reset();
  round_.Reset();
  throughput_.Reset();
  changed_.NotifyAll();
}

Status JobServiceImpl::RestoreCut(std::int64_t cut, Incarnation incarnation) {
  Empty(incarnation);
  ELEPHAS_ASSIGN_OR_RETURN(Checkpoint checkpoint, checkpoints_.Load(cut, pool_));
  const std::string run = checkpoint.uid;
  const Incarnation taken_in = checkpoint.incarnation;
  const std::uint64_t seed = checkpoint.seed;
  Training::News news;
  ELEPHAS_ASSIGN_OR_RETURN(Training training,
                           Training::Continue(setting(), std::move(checkpoint), news));
  training_.emplace(std::move(training));
  TellNews(news);
  incarnations_.StartFrom(cut, run, taken_in, seed);
  checkpoints_.CountStart(cut);
  round_.Begin(training_->NextRound());
  training_->epoch_started = clock_.Now();
  const bool own = run == options_.uid;
  std::string what = "continuing after epoch " + std::to_string(cut);
  if (!own) what.append(" of run ").append(run);
  LogInfo("restored", {{"epoch", cut}, {"run", run}, {"message", what}});
  events_.Add(own ? "Restored" : "Resumed", what);
  changed_.NotifyAll();
  return OkStatus();
}

Status JobServiceImpl::Restore(const PeerReply& peer) {
  const MutexLock apply_lock(apply_mutex_);
  const MutexLock lock(mutex_);
  const bool nothing_new =
      peer.incarnation == Incarnation(0) || peer.incarnation == incarnations_.current();
  if (peer.incarnation == Incarnation(0) || !nothing_new) checkpoints_.TakeUpRun(peer.uid);
  if (nothing_new) return OkStatus();
  checkpoints_.Drain();
  Status taken_up = OkStatus();
  if (peer.cut == 0) {
    Empty(peer.incarnation);
  } else {
    taken_up = RestoreCut(peer.cut, peer.incarnation);
  }
  if (taken_up.ok()) taken_up = checkpoints_.ClaimExactly(peer.incarnation, peer.cut);
  if (!taken_up.ok()) {
    Empty(peer.incarnation);
    incarnations_.Lose();  // not taken up; server 0 hears so and chooses again
    return taken_up;
  }
  checkpoints_.GiveUpAfter(peer.cut);
  incarnations_.TakeUp(peer.incarnation, peer.seed);  // exactly server 0's
  return OkStatus();
}

void JobServiceImpl::ChooseIncarnation() {
  checkpoints_.Drain();
  const Incarnations::Choice choice =
      incarnations_.Choose(checkpoints_.Cuts(), clock_.UnixMillis());
  const std::int64_t cut = choice.cut;
  const Result<Incarnation> claimed = checkpoints_.Claim(choice.incarnation, cut);
  if (claimed.status().code() == Code::kConflict) {
    checkpoints_.SetFenced(claimed.status().message());
    return;
  }
  if (!claimed.ok()) FailJob("RestoreFailed", claimed.status().message());
  const Incarnation incarnation = claimed.ok() ? *claimed : choice.incarnation;
  if (cut > 0) {
    const Status restored = RestoreCut(cut, incarnation);
    if (restored.ok()) {
      checkpoints_.GiveUpAfter(cut);
      return;
    }
    FailJob("RestoreFailed", restored.message());
  }
  Empty(incarnation);
  if (cut > 0) return;
  checkpoints_.GiveUpAfter(0);
  const std::string continued = checkpoints_.ContinuedRun();
  if (!continued.empty()) {
    FailJob(std::string(names::kResumeFailed),
            "the parameter servers have no checkpoint of run " + continued + " in common");
  }
}

Result<PeerService::PeerReply> JobServiceImpl::RegisterPeer(std::int64_t index,
                                                            const PeerReport& report) {
  const MutexLock apply_lock(apply_mutex_);
  const MutexLock lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0");
  if (index < 1 || index >= spec_.parameter_servers.replicas) {
    return Invalid("there is no server " + std::to_string(index));
  }
  if (checkpoints_.fenced()) return Unavailable("another process has taken over this server");
  incarnations_.Seen(report.newest);
  // It looked at another run's checkpoints: it is told which count, and looks again.
  const PeerReply undecided{Incarnation(0), 0, 0, checkpoints_.RunThatCounts()};
  if (!report.run.empty() && report.run != undecided.uid && !finalized()) return undecided;
  const bool started_again = incarnations_.Register(index, report);
  if (started_again) {
    events_.Add("ServerStarted", "parameter server " + std::to_string(index) + " started");
  }
  // A job that has written its outputs never goes back; a server that starts now only has to be
  // there until the last worker has heard so.
  if (finalized()) {
    const std::int64_t newest = report.cuts.empty() ? 0 : std::ranges::max(report.cuts);
    return PeerReply{incarnations_.current(), newest, incarnations_.seed(), undecided.uid};
  }
  if (incarnations_.MustChoose(index, report, started_again)) ChooseIncarnation();
  changed_.NotifyAll();
  if (incarnations_.current() == Incarnation(0)) return undecided;
  return PeerReply{incarnations_.current(), incarnations_.cut(), incarnations_.seed(),
                   checkpoints_.RunThatCounts()};
}

PeerService::PeerReport JobServiceImpl::OwnReport() const {
  PeerReport report;
  report.cuts = checkpoints_.Cuts();
  const MutexLock lock(mutex_);
  report.incarnation = incarnations_.current();
  report.newest = checkpoints_.claimed().value_or(incarnations_.last());
  report.run = checkpoints_.RunThatCounts();
  return report;
}

std::vector<std::int64_t> JobServiceImpl::Cuts() const { return checkpoints_.Cuts(); }

std::optional<std::string> JobServiceImpl::Fenced() {
  std::optional<CheckpointFolder> folder;
  {
    const MutexLock lock(mutex_);
    folder = checkpoints_.DueLook(clock_.Now());
  }
  // Outside of the lock: the storage may be slow.
  if (folder) {
    const Status fence = folder->CheckFence(folder->claimed());
    if (!fence.ok()) checkpoints_.SetFenced(fence.message());
  }
  return checkpoints_.WhyFenced();
}

}  // namespace elephas
