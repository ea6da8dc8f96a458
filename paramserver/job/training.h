// The model that is trained and how far it is: what a new incarnation throws away as a whole.
//
// Pure but for the buffers that it takes from the pool; the caller synchronises. Buffers that were
// handed out live on when the Training is gone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/model_layout.h"
#include "paramserver/callbacks/fit_callbacks.h"
#include "paramserver/checkpoint/checkpoint.h"
#include "paramserver/job/job_basics.h"
#include "paramserver/ledger/job_plan.h"
#include "paramserver/ledger/ledger.h"
#include "paramserver/store/buffer_pool.h"
#include "paramserver/store/parameter_store.h"
#include "paramserver/store/round.h"

namespace elephas {

struct Training {
  // What a server is given; spec and pool must outlive the training.
  struct Setting {
    const JobSpec& spec;
    std::int64_t server_index = 0;
    std::int64_t max_parameters = 0;  // elements that a layout may ask for
    BufferPool& pool;
  };
  // With a layout and without parameters. kInvalid: the job cannot be trained with it.
  static Result<Training> Begin(const Setting& setting, const ModelLayout& layout);
  struct News {
    std::vector<FitCallbacks::Event> events;
    std::optional<std::int64_t> not_kept;  // memory was exhausted for the model of this epoch
  };
  // As it was when the checkpoint was taken. kInvalid: it is not of this job or this model.
  static Result<Training> Continue(const Setting& setting, Checkpoint checkpoint, News& news);

  [[nodiscard]] bool initialised() const { return store.initialised(); }
  [[nodiscard]] bool finalized() const {
    return ledger.Done({WorkKind::kFinalize, Epoch(0), Partition(0)});
  }
  [[nodiscard]] BodyShape Expects() const;
  // Of all examples that are to be applied; 0 to 1.
  [[nodiscard]] double Progress() const;
  [[nodiscard]] std::vector<double> LearningRates() const;
  // Synchronous training, and rounds are left to do.
  [[nodiscard]] bool RoundsAreOpen() const;

  // The first parameters; no `slots`: those that the optimizer begins with. kInvalid: a wrong size,
  // a NaN or an infinity.
  Status Initialise(std::shared_ptr<FloatBuffer> parameters,
                    std::vector<std::shared_ptr<FloatBuffer>> slots, std::int64_t iterations);

  // Whether the update comes next. kDuplicate: it is applied. kConflict: it is not its turn, or
  // `rounds_of`, the group's generation that trains the rounds, keeps others out; kInvalid: it can
  // never be right. Precondition: initialised().
  [[nodiscard]] Result<UpdateOutcome> Judge(const UpdateHeader& header,
                                            std::optional<Generation> rounds_of) const;
  // kInvalid names what has the wrong size.
  [[nodiscard]] Status CheckSizes(const FloatBuffer& delta,
                                  const std::vector<std::shared_ptr<FloatBuffer>>& slots) const;

  // The next round, whose contributions are counted anew; none where no training is left to do.
  std::optional<Round> NextRound();

  // Moves what has ended into the history and decides how it goes on. The parameters are still
  // those of the epoch's end: with callbacks the next one has not begun.
  News CloseEpochs(Clock::TimePoint now);
  // Models of epochs up to `up_to` go, but for those that may still be asked for.
  void ForgetModels(std::int64_t up_to, const FitDecisions& decided);

  // All but whose it is: uid, incarnation and seed.
  [[nodiscard]] Checkpoint ToCheckpoint(std::int64_t cut, SharedFloats parameters) const;

  Setting setting;
  std::shared_ptr<const ModelLayout> layout;
  JobPlan plan;
  Ledger ledger;
  ParameterStore store;
  std::shared_ptr<const Optimizer> optimizer;  // synchronous batch; null: none is needed
  std::optional<FitCallbacks> callbacks;       // server 0 of a job that has some
  // Models of epochs (counted from 1) that the job may end with: the best ones so far, and the last
  // one until the others hear whether it is.
  std::map<std::int64_t, KeptModel> kept;
  bool round_complete = false;     // all contributions are there, the commit is not yet done
  std::int64_t contributions = 0;  // of the open round, recorded, by rest
  std::set<TaskId> in_flight;      // hogwild: tasks whose update is being added
  std::int64_t quiet_cut = 0;      // hogwild: a checkpoint that waits until none is in flight
  std::int64_t last_cut = 0;       // the newest that was begun to be written, or continued from
  std::optional<Clock::TimePoint> epoch_started;

 private:
  Training(const Setting& the_setting, const ModelLayout& the_layout, JobPlan the_plan, Range range,
           std::int64_t trainable);

  [[nodiscard]] bool coordinates() const { return setting.server_index == 0; }
  [[nodiscard]] Result<UpdateOutcome> JudgeContribution(const UpdateHeader& header) const;
  // False: memory is exhausted.
  bool KeepModel(std::int64_t epoch);
  void DecideAfter(std::int64_t epoch, News& news);
  // `of` may be null: a checkpoint of a run without callbacks has no state, they start with what
  // comes.
  Status RestoreCallbacks(const nlohmann::json& of);
  [[nodiscard]] Status CheckFits(const Checkpoint& checkpoint) const;
};

}  // namespace elephas
