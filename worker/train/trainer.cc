#include "worker/train/trainer.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "common/base/log.h"
#include "common/base/random.h"
#include "worker/exchange/flat_span.h"

namespace elephas {

namespace {

// As many batches of one shape run before a step is recorded: libraries choose their kernels then.
constexpr int kBatchesBefore = 3;

std::vector<std::vector<std::int64_t>> Shapes(const Batch& batch) {
  std::vector<std::vector<std::int64_t>> shapes;
  ForEachArray(batch, [&](const at::Tensor& array) { shapes.push_back(array.sizes().vec()); });
  return shapes;
}

}  // namespace

Trainer::Trainer(const JobSpec& spec, std::uint64_t seed, keras::Model& model,
                 keras::CompiledLoss* loss, const Optimizer* optimizer, const ModelData& data,
                 WorkMeter& meter, StepGraphProvider* graphs, std::string worker)
    : spec_(spec),
      seed_(seed),
      model_(model),
      loss_(loss),
      optimizer_(optimizer),
      data_(data),
      meter_(meter),
      worker_(std::move(worker)),
      weights_(TrainableSlices(model.layout())),
      staging_(model.parameters().device(), data),
      defers_(loss != nullptr && (!model.parameters().is_cpu() || graphs != nullptr)),
      graphs_(loss != nullptr && loss->DefersAll() ? graphs : nullptr) {
  if (defers_) loss_->Defer();
  if (on_host()) return;
  const auto pinned = at::TensorOptions().dtype(at::kFloat).pinned_memory(true);
  host_parameters_ = at::empty({model_.parameters().numel()}, pinned);
  host_gradients_ = at::zeros({model_.gradients().numel()}, pinned);
  host_parameters_.copy_(model_.parameters());
}

std::span<float> Trainer::parameters() {
  return FlatSpan(on_host() ? model_.parameters() : host_parameters_);
}

std::span<float> Trainer::gradients() {
  return FlatSpan(on_host() ? model_.gradients() : host_gradients_);
}

at::Tensor Trainer::SlotArena(OptimizerState& state) {
  if (!on_host()) return slots_;
  return at::from_blob(state.slots.data(), {static_cast<std::int64_t>(state.slots.size())},
                       at::TensorOptions().dtype(at::kFloat));
}

void Trainer::ToDevice(const OptimizerState* state) {
  if (on_host()) return;
  model_.parameters().copy_(host_parameters_, /*non_blocking=*/true);
  if (state == nullptr) return;
  const auto size = static_cast<std::int64_t>(state->slots.size());
  // from_blob wants a mutable pointer; nobody writes through it.
  slots_ = at::from_blob(const_cast<float*>(state->slots.data()), {size},
                         at::TensorOptions().dtype(at::kFloat))
               .to(model_.parameters().device());
}

void Trainer::ToHost(OptimizerState* state) {
  if (on_host()) return;
  host_parameters_.copy_(model_.parameters());
  host_gradients_.copy_(model_.gradients());
  if (state != nullptr && slots_.defined()) {
    const at::Tensor slots = slots_.cpu();
    const std::span<float> values = FlatSpan(slots);
    state->slots.assign(values.begin(), values.end());
  }
}

// Matrix products in bfloat16 where spec.workers.precision says so; weights, losses and sums stay
// float32.
std::vector<at::Tensor> Trainer::Forward(const std::vector<at::Tensor>& features, bool training) {
  if (spec_.workers.precision != Precision::kMixedBfloat16) {
    return model_.Forward(features, training);
  }
  const at::DeviceType type = model_.parameters().device().type();
  const bool before = at::autocast::is_autocast_enabled(type);
  at::autocast::set_autocast_enabled(type, true);
  at::autocast::set_autocast_dtype(type, at::kBFloat16);
  std::vector<at::Tensor> outputs;
  try {
    outputs = model_.Forward(features, training);
  } catch (...) {
    at::autocast::set_autocast_enabled(type, before);
    at::autocast::clear_cache();
    throw;
  }
  at::autocast::set_autocast_enabled(type, before);
  // The cache holds casts of weights as they are now.
  at::autocast::clear_cache();
  for (at::Tensor& output : outputs) {
    if (output.is_floating_point()) output = output.to(at::kFloat);
  }
  return outputs;
}

OptimizerState Trainer::InitialState() const {
  OptimizerState state;
  const auto row = static_cast<std::size_t>(model_.layout().trainable_elements);
  for (std::size_t i = 0; i < optimizer_->SlotNames().size(); ++i) {
    state.slots.insert(state.slots.end(), row, optimizer_->SlotInitialValue(i));
  }
  return state;
}

Batches Trainer::TaskBatches(const Lease& lease, std::int64_t epoch) const {
  std::vector<std::int64_t> order;
  if (lease.task.kind == WorkKind::kTrain && spec_.fit.shuffle) {
    order = ShuffledRows(lease.rows.size(), seed_, epoch, lease.task.partition.value());
  }
  return {data_, lease.rows, std::move(order), spec_.fit.batch_size};
}

Batch Trainer::Rows(const Batches& batches, std::int64_t index, std::int64_t next) {
  const auto timer = meter_.Time(Activity::kData);
  return staging_.At(batches, index, next);
}

// LibTorch throws; the exception ends here, with the task it belongs to.
template <typename Function>
Status Trainer::Guard(const std::string& what, Function&& function) {
  try {
    return function();
  } catch (const c10::Error& error) {
    return Invalid(what + ": " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    return Internal(what + ": " + error.what());
  }
}

Status Trainer::Gradient(const Batches& batches, const TaskId& task, std::int64_t epoch,
                         std::int64_t batch, std::int64_t next, MetricSums& sums) {
  const auto where = [&] {
    return "epoch " + std::to_string(epoch) + ", partition " +
           std::to_string(task.partition.value()) + ", batch " + std::to_string(batch);
  };
  return Guard("training", [&]() -> Status {
    // Dropout is a pure function of the batch, so a batch that is computed again is the same.
    const auto seed = [&] {
      at::manual_seed(MixSeed({seed_, static_cast<std::uint64_t>(epoch),
                               static_cast<std::uint64_t>(task.partition.value()),
                               static_cast<std::uint64_t>(batch)}));
    };
    const Batch rows = Rows(batches, batch, next);
    if (Replay(rows, seed, sums)) return OkStatus();
    seed();
    const at::Tensor loss = Compute(rows, sums);
    if (!defers_ && spec_.fit.on_nan == OnNan::kFail && !std::isfinite(loss.item<float>())) {
      return Invalid("the loss became " + std::to_string(loss.item<float>()) + " in " + where() +
                     " (set spec.fit.onNaN to continue to train on)");
    }
    return OkStatus();
  });
}

at::Tensor Trainer::Compute(const Batch& rows, MetricSums& sums) {
  model_.gradients().zero_();
  const std::vector<at::Tensor> outputs = Forward(rows.features, /*training=*/true);
  at::Tensor loss = loss_->Compute(outputs, {rows.labels, rows.sample_weights},
                                   model_.RegularizationLoss(), sums);
  // A model without trainable weights has nothing to differentiate.
  if (loss.requires_grad()) loss.backward();
  return loss;
}

bool Trainer::Replay(const Batch& rows, const std::function<void()>& seed, const MetricSums& sums) {
  if (graphs_ == nullptr) return false;
  if (auto shapes = Shapes(rows); shapes != recorded_.shapes) {
    if (recorded_.graph) return false;  // the last batch of an epoch, say
    recorded_.shapes = std::move(shapes);
    recorded_.seen = 0;
  }
  if (!recorded_.graph) {
    if (++recorded_.seen <= kBatchesBefore) return false;
    if (!Record(rows)) {
      graphs_ = nullptr;
      return false;
    }
  }
  MapArrays(rows, recorded_.inputs, [](const at::Tensor& from, const at::Tensor& to) {
    to.copy_(from, /*non_blocking=*/true);
  });
  if (recorded_.owner != &sums) {
    if (recorded_.owner != nullptr) loss_->Move(recorded_sums_, *recorded_.owner);
    recorded_.owner = &sums;
  }
  seed();
  recorded_.graph->Replay();
  return true;
}

// Leaves everything but recorded_ and the gradients as it was.
bool Trainer::Record(const Batch& rows) {
  MapArrays(rows, recorded_.inputs,
            [](const at::Tensor& from, at::Tensor& to) { to = from.clone(); });
  const std::int64_t trainable = model_.layout().trainable_elements;
  const at::Tensor statistics =
      model_.parameters().narrow(0, trainable, model_.parameters().numel() - trainable);
  const at::Tensor before = statistics.clone();
  // Once outside, so that what the metrics are kept in does not belong to the recording.
  (void)Compute(recorded_.inputs, recorded_sums_);
  auto graph = graphs_->Make();
  const Status done = graph->Record([this] { (void)Compute(recorded_.inputs, recorded_sums_); });
  statistics.copy_(before);
  MetricSums nobody;
  loss_->Move(recorded_sums_, nobody);
  (void)loss_->Flush(nobody);
  if (!done.ok()) {
    LogInfo("training steps are not recorded", {{"worker", worker_}, {"reason", done.message()}});
    return false;
  }
  LogInfo("training step recorded", {{"worker", worker_}});
  recorded_.graph = std::move(graph);
  return true;
}

Status Trainer::UseLearningRate(std::optional<double> rate) {
  device_optimizer_.reset();  // it follows optimizer()
  if (!rate) {
    changed_optimizer_.reset();
  } else if (!changed_optimizer_ || changed_optimizer_->LearningRate(0) != *rate) {
    ELEPHAS_ASSIGN_OR_RETURN(changed_optimizer_, WithLearningRate(*optimizer_, *rate));
  }
  return OkStatus();
}

Status Trainer::Settle(MetricSums& sums) {
  if (!defers_) return OkStatus();
  return Guard("training", [&]() -> Status {
    if (recorded_.owner == &sums) {
      loss_->Move(recorded_sums_, sums);
      recorded_.owner = nullptr;
    }
    if (loss_->Flush(sums) || spec_.fit.on_nan != OnNan::kFail) return OkStatus();
    return Invalid(
        "the loss became a NaN or an infinity (set spec.fit.onNaN to continue to train on)");
  });
}

void Trainer::Forget() {
  if (!defers_) return;
  recorded_ = {};
  loss_->Defer();
  staging_.Forget();
}

void Trainer::Step(OptimizerState& state) {
  if (!on_host()) {
    if (!device_optimizer_) {
      // Every class of optimizer has a rule; a test goes through all of them.
      device_optimizer_ = DeviceOptimizer::For(optimizer(), weights_).value();
    }
    const std::int64_t row = model_.layout().trainable_elements;
    std::vector<at::Tensor> rows;
    for (std::int64_t first = 0; first < slots_.numel(); first += row) {
      rows.push_back(slots_.narrow(0, first, row));
    }
    device_optimizer_->Step(state.iterations, model_.parameters().narrow(0, 0, row),
                            model_.gradients(), rows);
    ++state.iterations;
    model_.ApplyConstraints();
    return;
  }
  const std::span<float> all = parameters();
  const auto trainable = static_cast<std::size_t>(model_.layout().trainable_elements);
  std::vector<std::span<float>> slots;
  for (std::size_t first = 0; first < state.slots.size(); first += trainable) {
    slots.push_back(std::span(state.slots).subspan(first, trainable));
  }
  optimizer().Step(state.iterations, all.first(trainable), gradients(), slots, weights_);
  ++state.iterations;
  model_.ApplyConstraints();
}

Result<MetricSums> Trainer::Evaluate(const Lease& lease) {
  MetricSums sums;
  const Batches batches = TaskBatches(lease, 0);
  ELEPHAS_RETURN_IF_ERROR(Guard("evaluation", [&]() -> Status {
    for (std::int64_t i = lease.batches.first; i < lease.batches.last; ++i) {
      const auto timer = meter_.Time(Activity::kCompute);
      Batch rows = Rows(batches, i, i + 1 < lease.batches.last ? i + 1 : -1);
      const std::vector<at::Tensor> outputs = Forward(rows.features, /*training=*/false);
      loss_->Compute(outputs, {std::move(rows.labels), std::move(rows.sample_weights)},
                     model_.RegularizationLoss(), sums);
      meter_.CountStep(lease.task.kind, rows.examples);
    }
    // A NaN is a result here, not a failure.
    if (defers_) (void)loss_->Flush(sums);
    return OkStatus();
  }));
  return sums;
}

Status Trainer::Predict(const Lease& lease, const WriteRows& write) {
  const Batches batches = TaskBatches(lease, 0);
  return Guard("prediction", [&]() -> Status {
    std::int64_t row = lease.rows.first;
    for (std::int64_t i = lease.batches.first; i < lease.batches.last; ++i) {
      const auto timer = meter_.Time(Activity::kCompute);
      const Batch rows = Rows(batches, i, i + 1 < lease.batches.last ? i + 1 : -1);
      const std::vector<at::Tensor> outputs = Forward(rows.features, /*training=*/false);
      for (std::size_t output = 0; output < outputs.size(); ++output) {
        const at::Tensor values = outputs[output].to(at::kCPU, at::kFloat).contiguous();
        ELEPHAS_RETURN_IF_ERROR(write(
            output, row, {values.data_ptr<float>(), static_cast<std::size_t>(values.numel())}));
      }
      row += rows.examples;
      meter_.CountStep(lease.task.kind, rows.examples);
    }
    return OkStatus();
  });
}

Result<std::vector<std::vector<std::int64_t>>> Trainer::OutputShapes() {
  std::vector<std::vector<std::int64_t>> shapes;
  ELEPHAS_RETURN_IF_ERROR(Guard("prediction", [&]() -> Status {
    const Batches first(data_, {0, 1}, {}, 1);
    for (const at::Tensor& output : model_.Forward(first.At(0).features, /*training=*/false)) {
      shapes.emplace_back(output.sizes().begin() + 1, output.sizes().end());
    }
    return OkStatus();
  }));
  return shapes;
}

}  // namespace elephas
