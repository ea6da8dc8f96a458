// JobService as one class in several files, for job_service*.cc only:
//
//   job_service.cc          workers, initialisation, shutdown
//   job_service_checkpoints.cc  the folder: what is continued, what was written, the fence
//   job_service_restore.cc  start, incarnations, going back to a cut
//   job_service_tasks.cc    leases and tasks without updates
//   job_service_updates.cc  pulls and updates
//   job_service_rounds.cc   what follows an update: rounds, closed epochs, checkpoints
//   job_service_group.cc    training in a group, its commits
//   job_service_status.cc   what people see
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "paramserver/callbacks/fit_callbacks.h"
#include "paramserver/checkpoint/checkpoint.h"
#include "paramserver/checkpoint/writer.h"
#include "paramserver/group/group.h"
#include "paramserver/group/group_commit.h"
#include "paramserver/job/event_log.h"
#include "paramserver/job/job_service.h"
#include "paramserver/job/peer_table.h"
#include "paramserver/ledger/coordinator.h"
#include "paramserver/ledger/job_plan.h"
#include "paramserver/ledger/ledger.h"
#include "paramserver/ledger/throughput.h"
#include "paramserver/store/buffer_pool.h"
#include "paramserver/store/parameter_store.h"
#include "paramserver/store/round.h"

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
  using Lock = std::unique_lock<std::mutex>;

  [[nodiscard]] bool coordinates() const { return options_.server_index == 0; }
  [[nodiscard]] bool finalized() const {
    return ledger_ && ledger_->Done({WorkKind::kFinalize, Epoch(0), Partition(0)});
  }

  // All of these: mutex_ is held.
  [[nodiscard]] bool ReadyLocked() const;
  [[nodiscard]] std::string_view StateWord() const;
  [[nodiscard]] double Progress() const;
  [[nodiscard]] Status CheckIncarnation(Incarnation incarnation) const;
  [[nodiscard]] Status CheckInitialised() const;
  [[nodiscard]] Result<UpdateOutcome> Judge(const UpdateHeader& header) const;
  void OpenRound();
  void AfterUpdate(const UpdateHeader& header);
  void CloseEpochsAndCheckpoint();
  void SubmitCheckpoint(std::int64_t cut, SharedFloats parameters);
  void CopyHogwildCheckpointWhenQuiet();
  void CloseEpochs();
  void DecideAfter(std::int64_t epoch);
  void KeepModel(std::int64_t epoch);
  void ForgetModels(std::int64_t up_to, const FitDecisions& decided);
  [[nodiscard]] std::vector<double> LearningRates() const {
    return callbacks_ ? callbacks_->learning_rates() : std::vector<double>();
  }
  void FailJob(const std::string& reason, const std::string& message);
  void ExpireLeases();
  void DropFinishedLease(LeaseId lease);
  void TickGroup();
  void TellGroupNews();
  [[nodiscard]] bool TrainingIsOpen() const;
  [[nodiscard]] bool RoundEmpty() const;
  [[nodiscard]] Group::Route TrainRoute(const std::string& worker) const;
  [[nodiscard]] Result<UpdateOutcome> JudgeCommit(const GroupCommitHeader& header) const;
  Status OpenCommit(const GroupCommitHeader& header);
  void FillPlace(const GroupQuestion& question, GroupPlace& place) const;
  [[nodiscard]] nlohmann::json GroupJson() const;

  // apply_mutex_ is held, mutex_ is not.
  Status CommitRound();
  Result<const Optimizer*> RoundOptimizer();
  Result<UpdateReply> ApplyRoundContribution(const UpdateHeader& header, Round::Contribution mine);
  Result<UpdateReply> ApplyDelta(const UpdateHeader& header, std::span<const float> delta);
  // No lock is held.
  Result<UpdateReply> ApplyHogwild(const UpdateHeader& header, std::span<const float> delta);

  // Before anything else runs.
  Status OpenCheckpoints();
  Status FindCheckpoints();
  Status ContinueLatest();
  Status AllDamaged(const std::vector<std::string>& broken);
  void TellForeign(const std::vector<CheckpointFolder::Run>& others);

  // apply_mutex_ and mutex_ are held.
  void CommitGroupWhenComplete();
  Status RestoreCut(std::int64_t cut, Incarnation incarnation);
  void Empty(Incarnation incarnation);
  Status TakeLayout(const ModelLayout& layout);
  Status RestoreCallbacks(const nlohmann::json& state);
  void ChooseIncarnation();
  void GiveUpCutsAfter(std::int64_t cut);
  // The run whose checkpoints count, as PeerReply::uid.
  [[nodiscard]] std::string RunThatCounts() const;
  // Servers 1..n-1: as server 0 says.
  void TakeUpRun(const std::string& uid);
  void Warn(std::string_view reason, const std::string& message);

  // No lock is needed.
  void CheckpointDone(const CheckpointWriter::Report& report, std::int64_t keep);
  void CountCheckpoint(const CheckpointWriter::Report& report);
  void SetFenced(const std::string& why);

  const JobSpec spec_;
  const JobServiceOptions options_;
  const JobSpec::Checkpoint policy_;
  const Clock& clock_;
  BufferPool pool_;
  std::optional<CheckpointFolder> folder_;  // changed where mutex_ is held

  // Held by whoever changes the parameters (hogwild: only to restore), before mutex_.
  std::mutex apply_mutex_;
  std::optional<Round> round_;                  // guarded by apply_mutex_
  std::unique_ptr<const Optimizer> optimizer_;  // synchronous batch; guarded by apply_mutex_
  // The same with the learning rate that was decided on; null: none was. Guarded by apply_mutex_.
  std::unique_ptr<const Optimizer> changed_optimizer_;
  FitDecisions round_decisions_;  // what the round's contributions say; guarded by apply_mutex_

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Everything from here on is guarded by mutex_.
  std::shared_ptr<const ModelLayout> layout_;
  std::optional<JobPlan> plan_;
  std::optional<Ledger> ledger_;
  std::optional<ParameterStore> store_;
  std::optional<FitCallbacks> callbacks_;  // server 0 of a job that has some
  // Models of epochs (counted from 1) that the job may end with: the best ones so far, and the last
  // one until the others hear whether it is.
  std::map<std::int64_t, KeptModel> kept_;
  Coordinator coordinator_;
  Group group_;
  std::optional<GroupCommit> commit_;  // of the group, being put together
  struct Committed {
    Generation generation;
    Version version;
    friend bool operator==(const Committed&, const Committed&) = default;
  };
  Committed last_group_commit_;
  std::int64_t last_commit_rounds_ = 0;  // what its members were told
  PeerTable peers_;
  std::string own_url_;
  Incarnation incarnation_;       // 0: the servers have not agreed yet
  Incarnation last_incarnation_;  // the newest that incarnation_ ever was
  std::uint64_t seed_;
  bool round_complete_ = false;     // all contributions are there, the commit is not yet done
  std::int64_t contributions_ = 0;  // of the open round, recorded, by rest
  std::int64_t restored_cut_ = 0;   // that this incarnation started from
  std::int64_t last_cut_ = 0;
  std::set<TaskId> in_flight_;    // hogwild: tasks whose update is being added
  std::int64_t quiet_cut_ = 0;    // hogwild: a checkpoint that waits for in_flight_ to become empty
  std::string restored_run_;      // of the checkpoint that it started from; empty: none
  Incarnation seen_incarnation_;  // the newest that any server told of
  struct Warning {
    std::string reason, message;
  };
  std::vector<Warning> warnings_;
  std::optional<Clock::TimePoint> fence_seen_;  // when it was last looked at
  bool failed_ = false;
  bool stopping_ = false;
  std::string failure_reason_, failure_message_;
  std::vector<std::string> outputs_;
  std::set<std::string> told_;  // workers that know that the job is over
  Throughput throughput_;
  std::optional<Clock::TimePoint> epoch_started_;
  JobCounters counters_;

  mutable std::mutex cuts_mutex_;
  std::set<std::int64_t> cuts_;     // whole checkpoints in the folder; guarded by cuts_mutex_
  CheckpointCounters checkpoints_;  // guarded by cuts_mutex_
  std::string fenced_why_;          // guarded by cuts_mutex_
  std::atomic<bool> fenced_ = false;

  EventLog events_;                           // thread-safe
  std::unique_ptr<CheckpointWriter> writer_;  // thread-safe; last, so that it stops first
};

}  // namespace elephas
