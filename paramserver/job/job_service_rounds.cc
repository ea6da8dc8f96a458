// What follows an update: the commit of a round, closed epochs, checkpoints.
#include <algorithm>
#include <utility>

#include "paramserver/job/job_service_impl.h"
#include "paramserver/ledger/history.h"

namespace elephas {

// The optimizer with the learning rate that holds for this round.
Result<const Optimizer*> JobServiceImpl::RoundOptimizer() {
  std::optional<double> rate = round_decisions_.learning_rate;
  if (coordinates()) {
    const std::lock_guard lock(mutex_);
    rate = callbacks_ ? callbacks_->decisions().learning_rate : std::nullopt;
  }
  if (!rate) return optimizer_.get();
  if (!changed_optimizer_ || changed_optimizer_->LearningRate(0) != *rate) {
    ELEPHAS_ASSIGN_OR_RETURN(changed_optimizer_, WithLearningRate(*optimizer_, *rate));
  }
  return changed_optimizer_.get();
}

Status JobServiceImpl::CommitRound() {
  ParameterStore::Next next;
  if (plan_->frequency == Frequency::kBatch) {
    std::vector<WeightSlice> weights;  // cut to this server's range
    const Range range = store_->range();
    for (const WeightSlice& weight : TrainableSlices(*layout_)) {
      const std::int64_t first = std::max(weight.offset, range.first);
      const std::int64_t last =
          std::min(weight.offset + weight.size, range.first + store_->trainable());
      if (first < last) weights.push_back({weight.name, first - range.first, last - first});
    }
    ELEPHAS_ASSIGN_OR_RETURN(const Optimizer* optimizer, RoundOptimizer());
    next = store_->Step(*optimizer, weights, round_->mean());
  } else {
    next = store_->Average(round_->mean());
  }
  const std::lock_guard lock(mutex_);
  if (!next.parameters) {
    // The contributions are recorded and folded: without the commit the job cannot go on.
    FailJob("OutOfMemory", "no memory for the next parameters");
    return Internal("no memory for the next parameters");
  }
  store_->Publish(std::move(next));
  ++counters_.rounds;
  CloseEpochsAndCheckpoint();
  OpenRound();  // after it: there is none when training stops here
  changed_.notify_all();
  return OkStatus();
}

void JobServiceImpl::OpenRound() {
  round_.reset();
  round_complete_ = false;
  contributions_ = 0;
  if (plan_->task != TaskKind::kTrain || !plan_->synchronous()) return;
  const std::int64_t epoch = ledger_->TrainedEpochs();
  if (epoch == plan_->TrainTasks()) return;
  std::vector<std::int64_t> examples;
  std::int64_t batch = 0;  // of the round: the same for all partitions that are not done
  for (std::int64_t p = 0; p < plan_->partitions; ++p) {
    batch = std::max(batch, ledger_->Next({WorkKind::kTrain, Epoch(epoch), Partition(p)}));
  }
  for (std::int64_t p = 0; p < plan_->partitions; ++p) {
    const TaskId task{WorkKind::kTrain, Epoch(epoch), Partition(p)};
    const std::int64_t batches = plan_->Batches(task);
    if (plan_->frequency == Frequency::kBatch) {
      examples.push_back(batch < batches ? plan_->Examples(task, {batch, batch + 1}) : 0);
    } else {
      examples.push_back(plan_->Rows(task).size());
    }
  }
  round_.emplace(std::move(examples));
}

void JobServiceImpl::AfterUpdate(const UpdateHeader& header) {
  // An update of epoch e + 1 says what server 0 decided at the end of epoch e.
  if (plan_->callbacks && !coordinates()) {
    ForgetModels(header.task.epoch.value(), header.decisions);
  }
  ledger_->Record(header.task, header.batches, header.examples, header.metrics);
  if (coordinates()) {
    if (const Coordinator::Held* held = coordinator_.Find(header.lease)) {
      coordinator_.CountExamples(held->worker, header.examples);
    }
    coordinator_.Renew(header.lease, clock_.Now());
    DropFinishedLease(header.lease);
  }
  counters_.examples[header.task.kind] += static_cast<std::uint64_t>(header.examples);
  // Asynchronous: this update is in the version already.
  const std::int64_t behind =
      store_->version().value() - header.base.value() - (plan_->synchronous() ? 0 : 1);
  counters_.staleness.Observe(static_cast<double>(std::max<std::int64_t>(behind, 0)));
  throughput_.Add(clock_.Now(), ledger_->ExamplesApplied());
  // Synchronous epochs end with the commit of their last round.
  if (!plan_->synchronous()) CloseEpochsAndCheckpoint();
  changed_.notify_all();
}

// Moves what has ended into the history. The parameters are still those of the epoch's end: with
// callbacks the next one has not begun.
void JobServiceImpl::CloseEpochs() {
  const Clock::TimePoint now = clock_.Now();
  const double seconds =
      epoch_started_ ? std::chrono::duration<double>(now - *epoch_started_).count() : 0.0;
  const std::int64_t first = ledger_->ClosedEpochs();
  if (ledger_->CloseEpochs(seconds) == 0) return;
  epoch_started_ = now;
  if (!plan_->callbacks) return;
  for (std::int64_t epoch = first; epoch < ledger_->ClosedEpochs(); ++epoch) DecideAfter(epoch);
}

// `epoch` from 0 has ended.
void JobServiceImpl::DecideAfter(std::int64_t epoch) {
  KeepModel(epoch + 1);
  if (!callbacks_) return;
  const EpochLogs logs = LogsOf(ledger_->history()[static_cast<std::size_t>(epoch)]);
  for (const FitCallbacks::Event& event : callbacks_->OnEpochEnd(epoch, logs)) {
    events_.Add(event.reason, event.message);
  }
  ForgetModels(epoch + 1, callbacks_->decisions());
  if (callbacks_->stopped_after()) {
    ledger_->StopHere();
    plan_->epochs = *callbacks_->stopped_after();
  }
}

// An epoch's model is the store's snapshot: it costs no copy, unless hogwild changes it in place.
void JobServiceImpl::KeepModel(std::int64_t epoch) {
  const auto& fit = spec_.fit;
  const bool restores = fit.early_stopping && fit.early_stopping->restore_best_weights;
  if (!restores && !fit.model_checkpoint) return;
  KeptModel model{store_->parameters(), {}, store_->iterations()};
  if (fit.model_checkpoint) model.slots = store_->slots();
  if (plan_->mode == Mode::kHogwild) {
    const std::shared_ptr<FloatBuffer> copy = pool_.Acquire(store_->range().size());
    if (!copy) {
      FailJob("OutOfMemory", "no memory to keep the model of epoch " + std::to_string(epoch));
      return;
    }
    CopyShared(store_->shared_parameters()->floats(), copy->floats());
    model.parameters = copy;
  }
  kept_[epoch] = std::move(model);
}

void JobServiceImpl::ForgetModels(std::int64_t up_to, const FitDecisions& decided) {
  std::erase_if(kept_, [&](const auto& entry) {
    return entry.first <= up_to && entry.first != decided.restore && entry.first != decided.best;
  });
}

void JobServiceImpl::CloseEpochsAndCheckpoint() {
  const std::int64_t trained = ledger_->TrainedEpochs() * plan_->EpochsPerTask();
  CloseEpochs();

  if (!writer_ || plan_->task != TaskKind::kTrain || trained <= last_cut_) return;
  const std::int64_t every = policy_.every_epochs;
  const bool due = trained / every > last_cut_ / every || trained == plan_->epochs;
  if (!due) return;
  last_cut_ = trained;
  if (plan_->mode != Mode::kHogwild) {
    SubmitCheckpoint(trained, store_->parameters());
    return;
  }
  quiet_cut_ = trained;
  CopyHogwildCheckpointWhenQuiet();
}

// Updates that are being added are not recorded yet, so parameters and ledger agree only when there
// are none. New ones wait while quiet_cut_ is set; the last one in flight takes the copy.
void JobServiceImpl::CopyHogwildCheckpointWhenQuiet() {
  if (quiet_cut_ == 0 || !in_flight_.empty()) return;
  const std::int64_t cut = std::exchange(quiet_cut_, 0);
  std::shared_ptr<FloatBuffer> copy = pool_.Acquire(store_->range().size());
  if (copy) {
    CopyShared(store_->shared_parameters()->floats(), copy->floats());
    SubmitCheckpoint(cut, std::move(copy));
  } else {
    events_.Add("CheckpointFailed", "checkpoint of epoch " + std::to_string(cut) +
                                        ": out of memory; training goes on without it");
  }
  changed_.notify_all();
}

void JobServiceImpl::SubmitCheckpoint(std::int64_t cut, SharedFloats parameters) {
  Checkpoint checkpoint;
  checkpoint.uid = options_.uid;
  checkpoint.cut = cut;
  checkpoint.version = store_->version();
  checkpoint.iterations = store_->iterations();
  checkpoint.incarnation = incarnation_;
  checkpoint.seed = seed_;
  checkpoint.layout = ToJson(*layout_);
  checkpoint.plan = plan_->ToJson();
  checkpoint.ledger = ledger_->ToJson();
  if (callbacks_) checkpoint.callbacks = callbacks_->State();
  checkpoint.kept = kept_;
  checkpoint.kept.erase(cut);  // those are the checkpoint's own parameters
  checkpoint.parameters = std::move(parameters);
  checkpoint.slots = store_->slots();
  if (!checkpoint.slots.empty()) checkpoint.slot_names = layout_->slot_names;
  writer_->Submit(std::move(checkpoint), spec_.parameter_servers.replicas == 1);
}

}  // namespace elephas
