// Synchronous training in a group: rounds are summed between the workers, the parameter server only
// hears of them at commits. The rules are docs/design/nccl.md.
//
//   enter ─► connect ─► round, round, … ─► commit ─► round, … ─► commit (epoch's end)
//
// Whatever goes wrong with a peer or the collective ends in Drop(): the communicator and the rounds
// since the last commit are thrown away, and the next Participate() starts from what the server
// holds.
#pragma once

#include <ATen/ATen.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/manifest/job_spec.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/model_layout.h"
#include "worker/exchange/exchange.h"
#include "worker/group/collective.h"
#include "worker/group/group_client.h"
#include "worker/group/group_sum.h"
#include "worker/group/group_watch.h"
#include "worker/train/train_loop.h"
#include "worker/train/trainer.h"

namespace elephas {

class GroupTrainer {
 public:
  struct Parts {
    const JobSpec& spec;
    const ModelLayout& layout;
    const JoinReply& joined;
    std::string token;
    CollectiveProvider& provider;
    Exchange& exchange;
    Trainer& trainer;
    TrainLoop& train_loop;
  };
  // All references must outlive it.
  explicit GroupTrainer(const Parts& parts, OptimizerState initial_state);
  ~GroupTrainer();

  // Trains with the group up to the epoch's end, or says that there is nothing to do with it now
  // (also kOk): ask for a lease again. Errors: what no new generation mends; the worker joins again
  // or the job fails, as their code says.
  Status Participate();
  // Rounds that this worker took part in and that are committed.
  [[nodiscard]] std::int64_t committed_rounds() const { return committed_rounds_; }

 private:
  // One partition of ours in the open epoch.
  struct Share {
    Partition partition;
    Range rows;
    std::int64_t batches = 0;  // in the task
    std::optional<Batches> order;
    GroupStep step;  // what the next commit says of it
  };
  // An error that a new generation may mend, apart from all others.
  struct Lost {
    std::string why;
  };

  Status Connect(const GroupPlace& place);
  Status TrainEpoch(const GroupPlace& place);
  Status PullModel(Version version);
  void MakeShares(Epoch epoch);
  [[nodiscard]] std::int64_t RoundsInEpoch() const;
  [[nodiscard]] std::int64_t Examples(std::int64_t partition, std::int64_t round) const;

  Status BatchRound(Epoch epoch, std::int64_t batch);
  Status WholeTaskRound(Epoch epoch);
  Status BeginSum(std::int64_t round);
  Result<at::Tensor> Reduce();

  Result<std::int64_t> Commit(Version base);
  Status PushModel(const GroupCommitHeader& header);
  Status AwaitPush();
  // Told to the server, so that the others need not find out.
  void GiveUp(const std::string& why);
  void Drop();

  const JobSpec& spec_;
  const ModelLayout& layout_;
  const std::string worker_, server_, token_;
  const Incarnation incarnation_;
  CollectiveProvider& provider_;
  Exchange& exchange_;
  Trainer& trainer_;
  TrainLoop& train_loop_;
  GroupClient client_, push_client_;
  const std::vector<Range> partition_rows_;
  std::vector<std::int64_t> partition_batches_;

  // Of the current generation; all empty without one.
  Generation generation_;
  std::int64_t rank_ = 0, world_ = 0;
  std::unique_ptr<Collective> collective_;
  std::unique_ptr<GroupWatch> watch_;
  std::optional<GroupSum> sum_;
  std::optional<Lost> lost_;

  // The model, in the trainer's arena, and the optimizer's state at version_; 0: nothing is held.
  Version version_;
  bool pulled_ = false;
  OptimizerState state_;
  at::Tensor before_, contribution_;
  std::vector<Share> shares_;

  // Rank 0: the model of the last commit on its way.
  std::vector<float> outgoing_parameters_, outgoing_slots_;
  std::future<Status> push_;
  std::int64_t committed_rounds_ = 0;
};

}  // namespace elephas
