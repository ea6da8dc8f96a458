// JobService as one monitor over parts that hold no state of each other, for job_service*.cc only:
//
//   job_service.cc          workers, initialisation, shutdown
//   job_service_restore.cc  start, incarnations, going back to a cut
//   job_service_tasks.cc    leases and tasks without updates
//   job_service_updates.cc  pulls and updates
//   job_service_rounds.cc   what follows an update: rounds, closed epochs, checkpoints
//   job_service_group.cc    training in a group, its commits
//   job_service_status.cc   what people see
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "paramserver/group/group_session.h"
#include "paramserver/job/checkpoint_keeper.h"
#include "paramserver/job/ending.h"
#include "paramserver/job/event_log.h"
#include "paramserver/job/incarnations.h"
#include "paramserver/job/job_service.h"
#include "paramserver/job/training.h"
#include "paramserver/ledger/coordinator.h"
#include "paramserver/ledger/throughput.h"
#include "paramserver/store/buffer_pool.h"
#include "paramserver/store/open_round.h"

namespace elephas {

class JobServiceImpl final : public JobService {
 public:
  JobServiceImpl(JobSpec spec, JobServiceOptions options, const Clock& clock);

  Status Start();

  [[nodiscard]] const JobSpec& spec() const override { return spec_; }
  Result<JoinReply> Join(const std::string& name) override;
  Status Heartbeat(const std::string& worker, Incarnation incarnation) override;
  Status Leave(const std::string& worker) override;
  Status Fail(const std::string& worker, const std::string& reason,
              const std::string& message) override;
  Status SetLayout(Incarnation incarnation, const ModelLayout& layout) override;
  [[nodiscard]] Result<BodyShape> Expects() const override;
  Result<std::shared_ptr<FloatBuffer>> AcquireBuffer(std::int64_t elements) override;
  Status SetParameters(Incarnation incarnation, std::shared_ptr<FloatBuffer> parameters,
                       std::vector<std::shared_ptr<FloatBuffer>> slots,
                       std::int64_t iterations) override;
  Result<LeaseReply> AcquireLease(const std::string& worker, Incarnation incarnation,
                                  std::chrono::milliseconds wait, bool prefetch) override;
  Result<UpdateOutcome> FinishTask(LeaseId lease, Incarnation incarnation, const TaskId& task,
                                   std::int64_t examples, const MetricSums& metrics,
                                   const std::vector<std::string>& outputs) override;
  Result<Snapshot> Pull(Incarnation incarnation, Version minimum, bool with_slots,
                        std::chrono::milliseconds wait) override;
  Result<Snapshot> PullEpoch(Incarnation incarnation, std::int64_t epoch, bool with_slots) override;
  [[nodiscard]] Result<UpdateOutcome> AdmitUpdate(const UpdateHeader& header) const override;
  Result<UpdateReply> ApplyUpdate(const UpdateHeader& header, std::shared_ptr<FloatBuffer> delta,
                                  std::vector<std::shared_ptr<FloatBuffer>> slots) override;
  Status OfferCollective(const std::string& worker, const std::string& collective,
                         const std::string& why_none) override;
  Result<GroupPlace> EnterGroup(const GroupQuestion& question,
                                std::chrono::milliseconds wait) override;
  Status SetGroupId(const std::string& worker, Incarnation incarnation, Generation generation,
                    const std::string& id) override;
  Status AbortGroup(const std::string& worker, Incarnation incarnation, Generation generation,
                    const std::string& reason) override;
  Result<bool> AwaitGroupEnd(Incarnation incarnation, Generation generation,
                             std::chrono::milliseconds wait) override;
  Result<GroupStepsReply> StageGroupSteps(const GroupSteps& steps) override;
  [[nodiscard]] Result<UpdateOutcome> AdmitGroupModel(
      const GroupCommitHeader& header) const override;
  Result<UpdateReply> StageGroupModel(const GroupCommitHeader& header, std::int64_t iterations,
                                      std::shared_ptr<FloatBuffer> parameters,
                                      std::vector<std::shared_ptr<FloatBuffer>> slots) override;
  Result<PeerReply> RegisterPeer(std::int64_t index, const PeerReport& report) override;
  [[nodiscard]] PeerReport OwnReport() const override;
  [[nodiscard]] std::vector<std::int64_t> Cuts() const override;
  [[nodiscard]] Incarnation CurrentIncarnation() const override;
  Status Restore(const PeerReply& peer) override;
  void SetOwnUrl(const std::string& url) override;
  [[nodiscard]] bool Ready() const override;
  [[nodiscard]] nlohmann::json StatusJson() const override;
  [[nodiscard]] nlohmann::json HistoryJson() const override;
  [[nodiscard]] JobSample Sample() const override;
  [[nodiscard]] std::shared_ptr<const ModelLayout> Layout() const override;
  [[nodiscard]] EndState End() const override;
  std::optional<std::string> Fenced() override;
  void Shutdown() override;

 private:
  [[nodiscard]] bool coordinates() const { return options_.server_index == 0; }
  [[nodiscard]] Training::Setting setting();

  // --- judging ---
  [[nodiscard]] bool finalized() const ELEPHAS_REQUIRES(mutex_) {
    return training_ && training_->finalized();
  }
  [[nodiscard]] bool initialised() const ELEPHAS_REQUIRES(mutex_) {
    return training_ && training_->initialised();
  }
  [[nodiscard]] Status CheckIncarnation(Incarnation incarnation) const ELEPHAS_REQUIRES(mutex_);
  // With the parameters, too.
  [[nodiscard]] Status CheckTraining(Incarnation incarnation) const ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] Result<UpdateOutcome> Judge(const UpdateHeader& header) const
      ELEPHAS_REQUIRES(mutex_);
  // The judgement on which an update is applied, by who holds what keeps it true. `finite`: its
  // values are. What kDuplicate leaves to do is done.
  Result<UpdateOutcome> Admit(const UpdateHeader& header, const FloatBuffer& delta,
                              const std::vector<std::shared_ptr<FloatBuffer>>& slots, bool finite)
      ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] Result<UpdateOutcome> JudgeCommit(const GroupCommitHeader& header) const
      ELEPHAS_REQUIRES(mutex_);

  // --- leases ---
  std::optional<Result<LeaseReply>> TryLease(const std::string& worker, Incarnation incarnation,
                                             bool prefetch) ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] std::optional<Clock::TimePoint> NextNews() const ELEPHAS_REQUIRES(mutex_);
  void ExpireLeases() ELEPHAS_REQUIRES(mutex_);
  void DropFinishedLease(LeaseId lease) ELEPHAS_REQUIRES(mutex_);

  // --- pulls and updates ---
  struct Pulled {
    Snapshot snapshot;
    std::shared_ptr<FloatBuffer> shared;  // hogwild: where the parameters are to be copied from
    bool commit_first = false;            // the round is whole: nothing else is filled in
  };
  std::optional<Result<Pulled>> TryPull(Incarnation incarnation, Version minimum, bool with_slots)
      ELEPHAS_REQUIRES(mutex_);
  Result<Pulled> AwaitPull(Incarnation incarnation, Version minimum,
                           std::chrono::steady_clock::time_point deadline)
      ELEPHAS_EXCLUDES(apply_mutex_, mutex_);
  Result<Pulled> PullWithSlots(Incarnation incarnation, Version minimum)
      ELEPHAS_EXCLUDES(apply_mutex_, mutex_);
  Result<UpdateReply> ApplyContribution(const UpdateHeader& header, Round::Contribution mine,
                                        bool finite) ELEPHAS_REQUIRES(apply_mutex_)
      ELEPHAS_EXCLUDES(mutex_);
  Result<UpdateReply> ApplyDelta(const UpdateHeader& header, const FloatBuffer& delta,
                                 const std::vector<std::shared_ptr<FloatBuffer>>& slots,
                                 bool finite) ELEPHAS_REQUIRES(apply_mutex_)
      ELEPHAS_EXCLUDES(mutex_);
  Result<UpdateReply> ApplyHogwild(const UpdateHeader& header, const FloatBuffer& delta,
                                   const std::vector<std::shared_ptr<FloatBuffer>>& slots,
                                   bool finite) ELEPHAS_EXCLUDES(mutex_);
  // Precondition: the round is complete. `training` is the current one: who holds apply_mutex_
  // keeps it, its plan, layout and parameters as they are.
  Status CommitRound(Training& training) ELEPHAS_REQUIRES(apply_mutex_) ELEPHAS_EXCLUDES(mutex_);
  // Of the current training; null: there is none.
  Training* CurrentTraining() ELEPHAS_REQUIRES(apply_mutex_) ELEPHAS_EXCLUDES(mutex_);
  Result<const Optimizer*> RoundOptimizer(const Training& training) ELEPHAS_REQUIRES(apply_mutex_)
      ELEPHAS_EXCLUDES(mutex_);
  void AfterUpdate(const UpdateHeader& header) ELEPHAS_REQUIRES(mutex_);
  void CloseEpochsAndCheckpoint() ELEPHAS_REQUIRES(mutex_);
  void TellNews(const Training::News& news) ELEPHAS_REQUIRES(mutex_);
  void SubmitCheckpoint(std::int64_t cut, SharedFloats parameters) ELEPHAS_REQUIRES(mutex_);
  void CopyHogwildCheckpointWhenQuiet() ELEPHAS_REQUIRES(mutex_);
  void FailJob(const std::string& reason, const std::string& message) ELEPHAS_REQUIRES(mutex_);

  // --- the group ---
  void TickGroup() ELEPHAS_REQUIRES(mutex_);
  void TellGroupNews() ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] bool RoundsAreOpen() const ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] bool RoundEmpty() const ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] Group::Route TrainRoute(const std::string& worker) const ELEPHAS_REQUIRES(mutex_);
  std::optional<Result<GroupPlace>> TryEnter(const GroupQuestion& question, GroupPlace& place)
      ELEPHAS_REQUIRES(mutex_);
  void FillPlace(const GroupQuestion& question, GroupPlace& place) const ELEPHAS_REQUIRES(mutex_);
  void CommitGroupWhenComplete() ELEPHAS_REQUIRES(apply_mutex_, mutex_);

  // --- incarnations ---
  Status RestoreCut(std::int64_t cut, Incarnation incarnation)
      ELEPHAS_REQUIRES(apply_mutex_, mutex_);
  void Empty(Incarnation incarnation) ELEPHAS_REQUIRES(apply_mutex_, mutex_);
  void ChooseIncarnation() ELEPHAS_REQUIRES(apply_mutex_, mutex_);

  // --- watching ---
  [[nodiscard]] std::string_view StateWord() const ELEPHAS_REQUIRES(mutex_);
  void FillProgress(nlohmann::json& out) const ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] nlohmann::json WorkersJson() const ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] nlohmann::json GroupJson() const ELEPHAS_REQUIRES(mutex_);

  const JobSpec spec_;
  const JobServiceOptions options_;
  const Clock& clock_;
  BufferPool pool_;  // thread-safe
  EventLog events_;  // thread-safe

  mutable Mutex mutex_;
  CondVar changed_;
  // Held by whoever changes the parameters (hogwild: only to restore), before mutex_.
  Mutex apply_mutex_ ELEPHAS_ACQUIRED_BEFORE(mutex_);
  OpenRound round_ ELEPHAS_GUARDED_BY(apply_mutex_);
  // Nothing: no layout yet. Replaced under both mutexes; see CommitRound() for what apply_mutex_
  // alone allows.
  std::optional<Training> training_ ELEPHAS_GUARDED_BY(mutex_);
  Coordinator coordinator_ ELEPHAS_GUARDED_BY(mutex_);
  GroupSession group_ ELEPHAS_GUARDED_BY(mutex_);
  Incarnations incarnations_ ELEPHAS_GUARDED_BY(mutex_);
  JobEnding ending_ ELEPHAS_GUARDED_BY(mutex_);
  Throughput throughput_ ELEPHAS_GUARDED_BY(mutex_);
  JobCounters counters_ ELEPHAS_GUARDED_BY(mutex_);
  bool stopping_ ELEPHAS_GUARDED_BY(mutex_) = false;

  // Called with mutex_ held where its header does not say "any thread". Last: its thread stops
  // before what it reports to goes.
  CheckpointKeeper checkpoints_;
};

}  // namespace elephas
