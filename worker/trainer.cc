#include "worker/trainer.h"

#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "common/random.h"

namespace elephas {

Trainer::Trainer(const JobSpec& spec, std::uint64_t seed, keras::Model& model,
                 keras::CompiledLoss* loss, const Optimizer* optimizer, const ModelData& data,
                 WorkMeter& meter)
    : spec_(spec),
      seed_(seed),
      model_(model),
      loss_(loss),
      optimizer_(optimizer),
      data_(data),
      meter_(meter),
      weights_(TrainableSlices(model.layout())) {}

std::span<float> Trainer::parameters() {
  const at::Tensor arena = model_.parameters();
  return {arena.data_ptr<float>(), static_cast<std::size_t>(arena.numel())};
}

std::span<float> Trainer::gradients() {
  const at::Tensor gradients = model_.gradients();
  return {gradients.data_ptr<float>(), static_cast<std::size_t>(gradients.numel())};
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

Batch Trainer::Rows(const Batches& batches, std::int64_t index) const {
  const auto timer = meter_.Time(Activity::kData);
  return batches.At(index);
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
                         std::int64_t batch, MetricSums& sums) {
  const auto where = [&] {
    return "epoch " + std::to_string(epoch) + ", partition " +
           std::to_string(task.partition.value()) + ", batch " + std::to_string(batch);
  };
  return Guard("training", [&]() -> Status {
    // Dropout is a pure function of the batch, so a batch that is computed again is the same.
    at::manual_seed(MixSeed({seed_, static_cast<std::uint64_t>(epoch),
                             static_cast<std::uint64_t>(task.partition.value()),
                             static_cast<std::uint64_t>(batch)}));
    Batch rows = Rows(batches, batch);
    model_.gradients().zero_();
    const std::vector<at::Tensor> outputs = model_.Forward(rows.features, /*training=*/true);
    const at::Tensor loss =
        loss_->Compute(outputs, {std::move(rows.labels), std::move(rows.sample_weights)},
                       model_.RegularizationLoss(), sums);
    if (spec_.fit.on_nan == OnNan::kFail && !std::isfinite(loss.item<float>())) {
      return Invalid("the loss became " + std::to_string(loss.item<float>()) + " in " + where() +
                     " (set spec.fit.onNaN to continue to train on)");
    }
    // A model without trainable weights has nothing to differentiate.
    if (loss.requires_grad()) loss.backward();
    return OkStatus();
  });
}

Status Trainer::UseLearningRate(std::optional<double> rate) {
  if (!rate) {
    changed_optimizer_.reset();
  } else if (!changed_optimizer_ || changed_optimizer_->LearningRate(0) != *rate) {
    ELEPHAS_ASSIGN_OR_RETURN(changed_optimizer_, WithLearningRate(*optimizer_, *rate));
  }
  return OkStatus();
}

void Trainer::Step(OptimizerState& state) {
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
      Batch rows = Rows(batches, i);
      const std::vector<at::Tensor> outputs = model_.Forward(rows.features, /*training=*/false);
      loss_->Compute(outputs, {std::move(rows.labels), std::move(rows.sample_weights)},
                     model_.RegularizationLoss(), sums);
      meter_.CountStep(lease.task.kind, rows.examples);
    }
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
      const Batch rows = Rows(batches, i);
      const std::vector<at::Tensor> outputs = model_.Forward(rows.features, /*training=*/false);
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
