// One commit of a group, while it is put together: every member brings the ledger steps of its
// partitions, rank 0 the model after them. Only when both are whole is anything applied, in one
// step; until then it can be thrown away, and the rounds that it covers are trained again.
//
// A commit covers whole rounds of one epoch, so what it must hold is known before it comes:
//   frequency batch        rounds r..r+n-1: batches [r, min(r+n, its batches)) of every partition
//                          that has a batch r
//   frequency epoch, fit   one round: all batches of every partition
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/group_protocol.h"
#include "paramserver/ledger/job_plan.h"
#include "paramserver/ledger/ledger.h"
#include "paramserver/store/float_buffer.h"

namespace elephas {

// Not thread-safe. `plan` and `ledger` must outlive it, and the ledger must not change meanwhile.
class GroupCommit {
 public:
  // kInvalid when the rounds from the ledger's state on do not have as many versions, or go beyond
  // the epoch's end.
  static Result<GroupCommit> Begin(const JobPlan& plan, const Ledger& ledger,
                                   const GroupCommitHeader& header);

  [[nodiscard]] bool Covers(const GroupCommitHeader& header) const {
    return header.generation == generation_ && header.base == base_ && header.target == target_;
  }
  [[nodiscard]] Version target() const { return target_; }
  [[nodiscard]] Generation generation() const { return generation_; }

  // Nothing is kept unless all steps are right: kInvalid names the one that is not. A repeat of a
  // partition's steps is ignored.
  Status AddSteps(const std::string& worker, const std::vector<GroupStep>& steps);

  struct Model {
    std::shared_ptr<FloatBuffer> parameters;
    std::vector<std::shared_ptr<FloatBuffer>> slots;
    std::int64_t iterations = 0;
  };
  // A repeat is ignored.
  void SetModel(Model model);

  [[nodiscard]] bool complete() const { return model_.parameters != nullptr && missing_ == 0; }
  // Precondition: complete().
  [[nodiscard]] Model& model() { return model_; }

  struct Step {
    TaskId task;
    Range batches;  // empty: the partition has no part in these rounds
    std::string worker;
    std::int64_t examples = 0;
    std::vector<MetricSums> metrics;
    bool given = false;
  };
  // By partition.
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }

 private:
  GroupCommit() = default;

  const Ledger* ledger_ = nullptr;
  Generation generation_;
  Version base_, target_;
  std::vector<Step> steps_;
  std::int64_t missing_ = 0;
  Model model_;
};

}  // namespace elephas
