// What follows an update: the commit of a round, closed epochs, checkpoints.
#include <algorithm>
#include <utility>

#include "paramserver/job/job_service_impl.h"

namespace elephas {

Training* JobServiceImpl::CurrentTraining() {
  const MutexLock lock(mutex_);
  return training_ ? &*training_ : nullptr;
}

// The optimizer with the learning rate that holds for this round: server 0 has decided it, the
// others hear of it from the contributions.
Result<const Optimizer*> JobServiceImpl::RoundOptimizer(const Training& training) {
  std::optional<double> rate = round_.learning_rate();
  if (coordinates()) {
    const MutexLock lock(mutex_);
    rate = training.callbacks ? training.callbacks->decisions().learning_rate : std::nullopt;
  }
  return round_.WithRate(*training.optimizer, rate);
}

Status JobServiceImpl::CommitRound(Training& training) {
  ParameterStore::Next next;
  const ParameterStore& store = training.store;
  if (training.plan.frequency == Frequency::kBatch) {
    std::vector<WeightSlice> weights;  // cut to this server's range
    const Range range = store.range();
    for (const WeightSlice& weight : TrainableSlices(*training.layout)) {
      const std::int64_t first = std::max(weight.offset, range.first);
      const std::int64_t last =
          std::min(weight.offset + weight.size, range.first + store.trainable());
      if (first < last) weights.push_back({weight.name, first - range.first, last - first});
    }
    ELEPHAS_ASSIGN_OR_RETURN(const Optimizer* optimizer, RoundOptimizer(training));
    next = store.Step(*optimizer, weights, round_.mean());
  } else {
    next = store.Average(round_.mean());
  }
  const MutexLock lock(mutex_);
  if (!next.parameters) {
    // The contributions are recorded and folded: without the commit the job cannot go on.
    FailJob("OutOfMemory", "no memory for the next parameters");
    return Internal("no memory for the next parameters");
  }
  training.store.Publish(std::move(next));
  ++counters_.rounds;
  CloseEpochsAndCheckpoint();
  round_.Begin(training.NextRound());  // after it: there is none when training stops here
  changed_.NotifyAll();
  return OkStatus();
}

void JobServiceImpl::AfterUpdate(const UpdateHeader& header) {
  const JobPlan& plan = training_->plan;
  Ledger& ledger = training_->ledger;
  // An update of epoch e + 1 says what server 0 decided at the end of epoch e.
  if (plan.callbacks && !coordinates()) {
    training_->ForgetModels(header.task.epoch.value(), header.decisions);
  }
  ledger.Record(header.task, header.batches, header.examples, header.metrics);
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
      training_->store.version().value() - header.base.value() - (plan.synchronous() ? 0 : 1);
  counters_.staleness.Observe(static_cast<double>(std::max<std::int64_t>(behind, 0)));
  throughput_.Add(clock_.Now(), ledger.ExamplesApplied());
  // Synchronous epochs end with the commit of their last round.
  if (!plan.synchronous()) CloseEpochsAndCheckpoint();
  changed_.NotifyAll();
}

void JobServiceImpl::TellNews(const Training::News& news) {
  if (news.not_kept) {
    FailJob("OutOfMemory",
            "no memory to keep the model of epoch " + std::to_string(*news.not_kept));
  }
  for (const FitCallbacks::Event& event : news.events) events_.Add(event.reason, event.message);
}

void JobServiceImpl::CloseEpochsAndCheckpoint() {
  Training& training = *training_;
  const std::int64_t trained = training.ledger.TrainedEpochs() * training.plan.EpochsPerTask();
  TellNews(training.CloseEpochs(clock_.Now()));
  if (training.plan.task != TaskKind::kTrain ||
      !checkpoints_.Due(trained, training.last_cut, training.plan.epochs)) {
    return;
  }
  training.last_cut = trained;
  if (training.plan.mode != Mode::kHogwild) {
    SubmitCheckpoint(trained, training.store.parameters());
    return;
  }
  training.quiet_cut = trained;
  CopyHogwildCheckpointWhenQuiet();
}

// Updates that are being added are not recorded yet, so parameters and ledger agree only when there
// are none. New ones wait while quiet_cut is set; the last one in flight takes the copy.
void JobServiceImpl::CopyHogwildCheckpointWhenQuiet() {
  Training& training = *training_;
  if (training.quiet_cut == 0 || !training.in_flight.empty()) return;
  const std::int64_t cut = std::exchange(training.quiet_cut, 0);
  const ParameterStore& store = training.store;
  std::shared_ptr<FloatBuffer> copy = pool_.Acquire(store.range().size());
  if (copy) {
    CopyShared(store.shared_parameters()->floats(), copy->floats());
    SubmitCheckpoint(cut, std::move(copy));
  } else {
    events_.Add("CheckpointFailed", "checkpoint of epoch " + std::to_string(cut) +
                                        ": out of memory; training goes on without it");
  }
  changed_.NotifyAll();
}

void JobServiceImpl::SubmitCheckpoint(std::int64_t cut, SharedFloats parameters) {
  Checkpoint checkpoint = training_->ToCheckpoint(cut, std::move(parameters));
  checkpoint.uid = options_.uid;
  checkpoint.incarnation = incarnations_.current();
  checkpoint.seed = incarnations_.seed();
  checkpoints_.Submit(std::move(checkpoint));
}

}  // namespace elephas
