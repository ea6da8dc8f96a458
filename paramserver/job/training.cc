#include "paramserver/job/training.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "paramserver/ledger/coordinator.h"
#include "paramserver/ledger/history.h"

namespace elephas {

namespace {

std::int64_t Size(const SharedFloats& floats) {
  return static_cast<std::int64_t>(floats->floats().size());
}

// The optimizer that takes the steps here; null where the workers take them.
Result<std::shared_ptr<const Optimizer>> ServerOptimizer(const JobPlan& plan,
                                                         const ModelLayout& layout) {
  if (plan.task != TaskKind::kTrain || !plan.synchronous() || plan.frequency != Frequency::kBatch) {
    return std::shared_ptr<const Optimizer>();
  }
  ELEPHAS_ASSIGN_OR_RETURN(std::unique_ptr<Optimizer> optimizer,
                           Optimizer::FromConfig(layout.optimizer));
  if (optimizer->SlotNames() != layout.slot_names) {
    return Invalid("layout: 'slotNames' are not those of the optimizer");
  }
  if (plan.servers > 1 && optimizer->NeedsWholeGradient()) {
    return Invalid(
        "clipping by norm needs the whole gradient on one server: "
        "set spec.parameterServers.replicas to 1");
  }
  return std::shared_ptr<const Optimizer>(std::move(optimizer));
}

}  // namespace

Training::Training(const Setting& the_setting, const ModelLayout& the_layout, JobPlan the_plan,
                   Range range, std::int64_t trainable)
    : setting(the_setting),
      layout(std::make_shared<const ModelLayout>(the_layout)),
      plan(the_plan),
      ledger(the_plan),
      store(range, trainable, the_setting.pool) {}

Result<Training> Training::Begin(const Setting& setting, const ModelLayout& layout) {
  if (layout.total_elements > setting.max_parameters) {
    return Invalid("the model has " + std::to_string(layout.total_elements) +
                   " parameters, this server takes " + std::to_string(setting.max_parameters));
  }
  ELEPHAS_ASSIGN_OR_RETURN(JobPlan plan, JobPlan::Make(setting.spec, layout.examples));
  const bool coordinates = setting.server_index == 0;
  // Validation is server 0's affair: for the others an epoch is over when it is trained.
  if (!coordinates) plan.validation_rows = 0;
  ELEPHAS_ASSIGN_OR_RETURN(std::shared_ptr<const Optimizer> optimizer,
                           ServerOptimizer(plan, layout));
  std::optional<FitCallbacks> callbacks;
  if (coordinates && plan.callbacks) {
    ELEPHAS_ASSIGN_OR_RETURN(callbacks, FitCallbacks::Make(setting.spec, layout));
  }
  const Range range = ShardElements(layout.total_elements, setting.spec.parameter_servers.replicas,
                                    setting.server_index);
  const std::int64_t trainable =
      std::clamp<std::int64_t>(layout.trainable_elements - range.first, 0, range.size());
  Training training(setting, layout, plan, range, trainable);
  training.optimizer = std::move(optimizer);
  training.callbacks = std::move(callbacks);
  return training;
}

Result<Training> Training::Continue(const Setting& setting, Checkpoint checkpoint, News& news) {
  ELEPHAS_ASSIGN_OR_RETURN(const ModelLayout layout, ModelLayoutFromJson(checkpoint.layout));
  ELEPHAS_ASSIGN_OR_RETURN(Training training, Begin(setting, layout));
  ELEPHAS_RETURN_IF_ERROR(training.plan.CheckContinues(checkpoint.plan));
  ELEPHAS_ASSIGN_OR_RETURN(training.ledger, Ledger::FromJson(training.plan, checkpoint.ledger));
  ELEPHAS_RETURN_IF_ERROR(training.CheckFits(checkpoint));
  // The buffers were made by Load for us alone; const only says that snapshots are not changed.
  std::vector<std::shared_ptr<FloatBuffer>> slots;
  for (const SharedFloats& slot : checkpoint.slots) {
    slots.push_back(std::const_pointer_cast<FloatBuffer>(slot));
  }
  training.store.Set(std::const_pointer_cast<FloatBuffer>(checkpoint.parameters), std::move(slots),
                     checkpoint.version, checkpoint.iterations);
  training.last_cut = checkpoint.cut;
  if (training.plan.callbacks) {
    training.kept = std::move(checkpoint.kept);
    if (!training.KeepModel(checkpoint.cut)) news.not_kept = checkpoint.cut;
    ELEPHAS_RETURN_IF_ERROR(training.RestoreCallbacks(checkpoint.callbacks));
  }
  return training;
}

// A file that is whole may still not be of this model.
Status Training::CheckFits(const Checkpoint& checkpoint) const {
  if (Size(checkpoint.parameters) != store.range().size()) {
    return Invalid("the checkpoint has " + std::to_string(Size(checkpoint.parameters)) +
                   " parameters, not " + std::to_string(store.range().size()));
  }
  const std::size_t slots = layout->slot_names.size();
  if (!checkpoint.slots.empty() && checkpoint.slots.size() != slots) {
    return Invalid("the checkpoint has " + std::to_string(checkpoint.slots.size()) +
                   " optimizer slots, not " + std::to_string(slots));
  }
  const auto fits = [&](const SharedFloats& slot) { return Size(slot) == store.trainable(); };
  if (!std::ranges::all_of(checkpoint.slots, fits)) {
    return Invalid("an optimizer slot of the checkpoint has the wrong size");
  }
  for (const auto& [epoch, model] : checkpoint.kept) {
    const bool slots_fit = (model.slots.empty() || model.slots.size() == slots) &&
                           std::ranges::all_of(model.slots, fits);
    if (Size(model.parameters) != store.range().size() || !slots_fit) {
      return Invalid("the checkpoint's model of epoch " + std::to_string(epoch) +
                     " has the wrong size");
    }
  }
  return OkStatus();
}

Status Training::RestoreCallbacks(const nlohmann::json& of) {
  if (!callbacks || of.is_null()) return OkStatus();
  ELEPHAS_RETURN_IF_ERROR(callbacks->SetState(of));
  const FitDecisions decided = callbacks->decisions();
  for (const auto& epoch : {decided.restore, decided.best}) {
    if (epoch && !kept.contains(*epoch)) {
      return Invalid("the checkpoint lacks the model of epoch " + std::to_string(*epoch));
    }
  }
  if (callbacks->stopped_after() == ledger.ClosedEpochs()) {
    ledger.StopHere();
    plan.epochs = ledger.ClosedEpochs();
  }
  return OkStatus();
}

BodyShape Training::Expects() const {
  const Range range = store.range();
  return {range,
          {range.first, range.first + store.trainable()},
          static_cast<std::int64_t>(layout->slot_names.size())};
}

double Training::Progress() const {
  const std::int64_t per_epoch = plan.task == TaskKind::kTrain ? plan.training_rows : plan.examples;
  const std::int64_t total = per_epoch * std::max<std::int64_t>(plan.epochs, 1);
  return static_cast<double>(ledger.ExamplesApplied()) / static_cast<double>(total);
}

std::vector<double> Training::LearningRates() const {
  return callbacks ? callbacks->learning_rates() : std::vector<double>();
}

bool Training::RoundsAreOpen() const {
  if (plan.task != TaskKind::kTrain || !plan.synchronous()) return false;
  const std::vector<OpenTask> open = OpenTasks(plan, ledger);
  return !open.empty() && open.front().task.kind == WorkKind::kTrain;
}

Status Training::Initialise(std::shared_ptr<FloatBuffer> parameters,
                            std::vector<std::shared_ptr<FloatBuffer>> slots,
                            std::int64_t iterations) {
  if (Size(parameters) != store.range().size()) {
    return Invalid("'parameters' must have " + std::to_string(store.range().size()) + " elements");
  }
  if (!AllFinite(std::as_const(*parameters).floats())) {
    return Invalid("'parameters' holds a NaN or an infinity");
  }
  const bool keeps_slots = plan.task == TaskKind::kTrain && plan.synchronous();
  if (!keeps_slots) slots.clear();
  if (keeps_slots && slots.empty() && !layout->slot_names.empty()) {
    ELEPHAS_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> fresh,
                             Optimizer::FromConfig(layout->optimizer));
    for (std::size_t i = 0; i < layout->slot_names.size(); ++i) {
      std::shared_ptr<FloatBuffer> slot = setting.pool.Acquire(store.trainable());
      if (!slot) return Unavailable("out of memory for the optimizer's slots");
      std::ranges::fill(slot->floats(), fresh->SlotInitialValue(i));
      slots.push_back(std::move(slot));
    }
  }
  if (keeps_slots && slots.size() != layout->slot_names.size()) {
    return Invalid("'slots' must have " + std::to_string(layout->slot_names.size()) + " rows");
  }
  for (const auto& slot : slots) {
    if (Size(slot) != store.trainable()) {
      return Invalid("each of 'slots' must have " + std::to_string(store.trainable()) +
                     " elements");
    }
  }
  store.Set(std::move(parameters), std::move(slots), Version(0), iterations);
  return OkStatus();
}

Result<UpdateOutcome> Training::Judge(const UpdateHeader& header,
                                      std::optional<Generation> rounds_of) const {
  if (header.task.kind != WorkKind::kTrain || !plan.Contains(header.task)) {
    return Invalid("the job has no updates for " + ToString(header.task));
  }
  const std::int64_t whole = plan.Batches(header.task);
  if (header.batches.size() <= 0 || header.batches.last > whole) {
    return Invalid(ToString(header.task) + " has batches 0 to " + std::to_string(whole));
  }
  switch (ledger.Check(header.task, header.batches)) {
    case Ledger::Verdict::kDuplicate:
      return UpdateOutcome::kDuplicate;
    case Ledger::Verdict::kConflict:
      return Conflict("the next batch of " + ToString(header.task) + " is " +
                      std::to_string(ledger.Next(header.task)));
    case Ledger::Verdict::kApply:
      break;
  }
  ELEPHAS_RETURN_IF_ERROR(
      ledger.Validate(header.task, header.batches, header.examples, header.metrics));
  if (!plan.synchronous()) {
    if (header.task.epoch.value() > ledger.OpenEpoch().value() + 1) {
      return Conflict(ToString(header.task) + " is not open yet");
    }
    return UpdateOutcome::kApplied;
  }
  if (rounds_of) {
    return Conflict("generation " + std::to_string(rounds_of->value()) +
                    " of the group trains this round");
  }
  return JudgeContribution(header);
}

Result<UpdateOutcome> Training::JudgeContribution(const UpdateHeader& header) const {
  const std::int64_t base = store.version().value() + (round_complete ? 1 : 0);
  if (header.base.value() != base || header.task.epoch.value() != ledger.TrainedEpochs()) {
    return Conflict("round " + std::to_string(base) + " is open, this update is for version " +
                    std::to_string(header.base.value()));
  }
  // One contribution per partition and round: batch r, or the whole task.
  const bool by_batch = plan.frequency == Frequency::kBatch;
  if (header.batches.size() != (by_batch ? 1 : plan.Batches(header.task))) {
    return Invalid("a contribution covers " +
                   std::string(by_batch ? "one batch" : "the whole task"));
  }
  if (!by_batch) return UpdateOutcome::kApplied;
  // Every partition that has a batch r contributes before any contributes batch r + 1.
  for (std::int64_t p = 0; p < plan.partitions; ++p) {
    const TaskId other{WorkKind::kTrain, header.task.epoch, Partition(p)};
    if (!ledger.Done(other) && ledger.Next(other) < header.batches.first) {
      return Conflict("the round of batch " + std::to_string(ledger.Next(other)) + " is open");
    }
  }
  return UpdateOutcome::kApplied;
}

Status Training::CheckSizes(const FloatBuffer& delta,
                            const std::vector<std::shared_ptr<FloatBuffer>>& slots) const {
  const auto expected = static_cast<std::size_t>(store.range().size());
  if (delta.floats().size() != expected) {
    return Invalid("'delta' must have " + std::to_string(expected) + " elements");
  }
  const bool averages_slots = plan.synchronous() && plan.frequency != Frequency::kBatch;
  const std::size_t rows = averages_slots ? layout->slot_names.size() : 0;
  if (slots.size() != rows) return Invalid("'slots' must have " + std::to_string(rows) + " rows");
  for (const auto& slot : slots) {
    if (Size(slot) != store.trainable()) {
      return Invalid("each of 'slots' must have " + std::to_string(store.trainable()) +
                     " elements");
    }
  }
  return OkStatus();
}

std::optional<Round> Training::NextRound() {
  round_complete = false;
  contributions = 0;
  if (plan.task != TaskKind::kTrain || !plan.synchronous()) return std::nullopt;
  const std::int64_t epoch = ledger.TrainedEpochs();
  if (epoch == plan.TrainTasks()) return std::nullopt;
  std::vector<std::int64_t> examples;
  std::int64_t batch = 0;  // of the round: the same for all partitions that are not done
  for (std::int64_t p = 0; p < plan.partitions; ++p) {
    batch = std::max(batch, ledger.Next({WorkKind::kTrain, Epoch(epoch), Partition(p)}));
  }
  for (std::int64_t p = 0; p < plan.partitions; ++p) {
    const TaskId task{WorkKind::kTrain, Epoch(epoch), Partition(p)};
    const std::int64_t batches = plan.Batches(task);
    if (plan.frequency == Frequency::kBatch) {
      examples.push_back(batch < batches ? plan.Examples(task, {batch, batch + 1}) : 0);
    } else {
      examples.push_back(plan.Rows(task).size());
    }
  }
  return Round(std::move(examples));
}

Training::News Training::CloseEpochs(Clock::TimePoint now) {
  News news;
  const double seconds =
      epoch_started ? std::chrono::duration<double>(now - *epoch_started).count() : 0.0;
  const std::int64_t first = ledger.ClosedEpochs();
  if (ledger.CloseEpochs(seconds) == 0) return news;
  epoch_started = now;
  if (!plan.callbacks) return news;
  for (std::int64_t epoch = first; epoch < ledger.ClosedEpochs(); ++epoch) {
    DecideAfter(epoch, news);
  }
  return news;
}

// `epoch` from 0 has ended.
void Training::DecideAfter(std::int64_t epoch, News& news) {
  if (!KeepModel(epoch + 1)) news.not_kept = epoch + 1;
  if (!callbacks) return;
  const EpochLogs logs = LogsOf(ledger.history()[static_cast<std::size_t>(epoch)]);
  for (FitCallbacks::Event& event : callbacks->OnEpochEnd(epoch, logs)) {
    news.events.push_back(std::move(event));
  }
  ForgetModels(epoch + 1, callbacks->decisions());
  if (callbacks->stopped_after()) {
    ledger.StopHere();
    plan.epochs = *callbacks->stopped_after();
  }
}

// An epoch's model is the store's snapshot: it costs no copy, unless hogwild changes it in place.
bool Training::KeepModel(std::int64_t epoch) {
  const auto& fit = setting.spec.fit;
  const bool restores = fit.early_stopping && fit.early_stopping->restore_best_weights;
  if (!restores && !fit.model_checkpoint) return true;
  KeptModel model{store.parameters(), {}, store.iterations()};
  if (fit.model_checkpoint) model.slots = store.slots();
  if (plan.mode == Mode::kHogwild) {
    const std::shared_ptr<FloatBuffer> copy = setting.pool.Acquire(store.range().size());
    if (!copy) return false;
    CopyShared(store.shared_parameters()->floats(), copy->floats());
    model.parameters = copy;
  }
  kept[epoch] = std::move(model);
  return true;
}

void Training::ForgetModels(std::int64_t up_to, const FitDecisions& decided) {
  std::erase_if(kept, [&](const auto& entry) {
    return entry.first <= up_to && entry.first != decided.restore && entry.first != decided.best;
  });
}

Checkpoint Training::ToCheckpoint(std::int64_t cut, SharedFloats parameters) const {
  Checkpoint checkpoint;
  checkpoint.cut = cut;
  checkpoint.version = store.version();
  checkpoint.iterations = store.iterations();
  checkpoint.layout = ToJson(*layout);
  checkpoint.plan = plan.ToJson();
  checkpoint.ledger = ledger.ToJson();
  if (callbacks) checkpoint.callbacks = callbacks->State();
  checkpoint.kept = kept;
  checkpoint.kept.erase(cut);  // those are the checkpoint's own parameters
  checkpoint.parameters = std::move(parameters);
  checkpoint.slots = store.slots();
  if (!checkpoint.slots.empty()) checkpoint.slot_names = layout->slot_names;
  return checkpoint;
}

}  // namespace elephas
