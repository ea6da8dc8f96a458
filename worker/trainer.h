// Training, evaluating and predicting a task's batches on this machine: no sockets, no leases.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/job_spec.h"
#include "common/optimizer.h"
#include "common/protocol.h"
#include "common/result.h"
#include "worker/batches.h"
#include "worker/keras/compile.h"
#include "worker/keras/model.h"
#include "worker/work_meter.h"

namespace elephas {

// The optimizer's slots, one row of trainable elements after the other, and the steps they have
// seen.
struct OptimizerState {
  std::vector<float> slots;
  std::int64_t iterations = 0;
};

// Single-threaded. All references must outlive it.
class Trainer {
 public:
  // `loss` may be null for predict, `optimizer` for everything but train.
  Trainer(const JobSpec& spec, std::uint64_t seed, keras::Model& model, keras::CompiledLoss* loss,
          const Optimizer* optimizer, const ModelData& data, WorkMeter& meter);

  [[nodiscard]] WorkMeter& meter() { return meter_; }

  // The arena as host floats: weights can be set and read through it.
  [[nodiscard]] std::span<float> parameters();
  // Gradients over the trainable part, of the last Gradient().
  [[nodiscard]] std::span<float> gradients();
  [[nodiscard]] OptimizerState InitialState() const;

  // The rows of `lease` in the order in which `epoch` visits them; ready to be gathered.
  [[nodiscard]] Batches TaskBatches(const Lease& lease, std::int64_t epoch) const;

  // One batch, forward and backward: gradients() is its gradient, batch statistics have moved on.
  // Adds the batch to `sums`. kInvalid "… is NaN" when the loss is and spec.fit.onNaN is fail.
  Status Gradient(const Batches& batches, const TaskId& task, std::int64_t epoch,
                  std::int64_t batch, MetricSums& sums);
  // One local optimizer step with gradients().
  void Step(OptimizerState& state);
  // From now on steps use this learning rate; nothing: the optimizer's own. kInvalid when that
  // follows a schedule.
  Status UseLearningRate(std::optional<double> rate);
  // With the learning rate in use. Precondition: the job trains.
  [[nodiscard]] const Optimizer& optimizer() const {
    return changed_optimizer_ ? *changed_optimizer_ : *optimizer_;
  }

  // Metrics of all batches of an evaluate or validate task.
  Result<MetricSums> Evaluate(const Lease& lease);
  // Outputs of all rows of the task, batch by batch: `write(output, first_row, values)`.
  using WriteRows =
      std::function<Status(std::size_t output, std::int64_t first_row, std::span<const float>)>;
  Status Predict(const Lease& lease, const WriteRows& write);
  // Shapes of the model's outputs for one row, batch axis left out.
  Result<std::vector<std::vector<std::int64_t>>> OutputShapes();

 private:
  [[nodiscard]] Batch Rows(const Batches& batches, std::int64_t index) const;
  template <typename Function>
  Status Guard(const std::string& what, Function&& function);

  const JobSpec& spec_;
  const std::uint64_t seed_;
  keras::Model& model_;
  keras::CompiledLoss* loss_;
  const Optimizer* optimizer_;
  std::unique_ptr<const Optimizer> changed_optimizer_;  // null: the learning rate is its own
  const ModelData& data_;
  WorkMeter& meter_;
  std::vector<WeightSlice> weights_;
};

}  // namespace elephas
