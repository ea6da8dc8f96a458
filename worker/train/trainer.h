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

#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/protocol.h"
#include "worker/device/optimizer.h"
#include "worker/device/step_graph.h"
#include "worker/keras/compile.h"
#include "worker/keras/model.h"
#include "worker/metrics/work_meter.h"
#include "worker/train/batches.h"
#include "worker/train/staging.h"

namespace elephas {

// The optimizer's slots, one row of trainable elements after the other, and the steps they have
// seen.
struct OptimizerState {
  std::vector<float> slots;
  std::int64_t iterations = 0;
};

// Single-threaded. All references must outlive it.
//
// On a GPU arena, gradients and slots live there. parameters(), gradients() and an OptimizerState
// are the host's copies then: ToDevice() and ToHost() carry them over, and only they wait for the
// GPU. On the CPU there is one copy, and both do nothing.
class Trainer {
 public:
  // `loss` may be null for predict, `optimizer` for everything but train. The model is where it is
  // to compute. With `graphs`, which may be null, training steps are recorded. `worker` is
  // for the log.
  Trainer(const JobSpec& spec, std::uint64_t seed, keras::Model& model, keras::CompiledLoss* loss,
          const Optimizer* optimizer, const ModelData& data, WorkMeter& meter,
          StepGraphProvider* graphs, std::string worker);

  [[nodiscard]] WorkMeter& meter() { return meter_; }

  // The arena as host floats: weights can be set and read through it.
  [[nodiscard]] std::span<float> parameters();
  // Gradients over the trainable part, of the last Gradient().
  [[nodiscard]] std::span<float> gradients();
  // The same two as flat tensors, wherever they are.
  [[nodiscard]] at::Tensor Arena() { return model_.parameters(); }
  [[nodiscard]] at::Tensor GradientArena() { return model_.gradients(); }
  // And the optimizer's slots: the state's own on the CPU.
  [[nodiscard]] at::Tensor SlotArena(OptimizerState& state);

  // parameters(), and the slots where `state` is not null, become what the model trains with.
  void ToDevice(const OptimizerState* state);
  // The other way round, gradients() included.
  void ToHost(OptimizerState* state);
  [[nodiscard]] OptimizerState InitialState() const;

  // The rows of `lease` in the order in which `epoch` visits them; ready to be gathered.
  [[nodiscard]] Batches TaskBatches(const Lease& lease, std::int64_t epoch) const;

  // One batch, forward and backward: gradients() is its gradient, batch statistics have moved on.
  // Adds the batch to `sums`, where metrics are deferred only with Settle(). kInvalid "… is NaN"
  // when the loss is and spec.fit.onNaN is fail. `next`: the batch that comes after this one, or
  // -1.
  Status Gradient(const Batches& batches, const TaskId& task, std::int64_t epoch,
                  std::int64_t batch, std::int64_t next, MetricSums& sums);
  // What the GPU still holds of `sums` is added. Errors as Gradient().
  Status Settle(MetricSums& sums);
  // What Settle() would add is thrown away, and so are batches on their way.
  void Forget();
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
  // On the device; `next` as for Gradient().
  [[nodiscard]] Batch Rows(const Batches& batches, std::int64_t index, std::int64_t next);
  [[nodiscard]] bool on_host() const { return model_.parameters().is_cpu(); }
  // Forward and backward of a batch, eagerly. Returns the loss.
  at::Tensor Compute(const Batch& rows, MetricSums& sums);
  // The same by what was recorded, or records it first. False: `rows` is for Compute().
  bool Replay(const Batch& rows, const std::function<void()>& seed, const MetricSums& sums);
  bool Record(const Batch& rows);
  [[nodiscard]] std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& features,
                                                bool training);
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
  const std::string worker_;
  std::vector<WeightSlice> weights_;
  Staging staging_;
  // On a GPU only: pinned host copies, slots on the device, and the optimizer's rule there.
  at::Tensor host_parameters_, host_gradients_, slots_;
  std::optional<DeviceOptimizer> device_optimizer_;
  // Metrics wait for Settle(), so that a step does not wait for the device.
  const bool defers_;
  StepGraphProvider* graphs_;  // null: steps are not to be recorded
  // What Replay() knows; all of it goes with Forget().
  struct Recorded {
    std::unique_ptr<StepGraph> graph;  // null: not recorded yet
    Batch inputs;                      // what it reads
    std::vector<std::vector<std::int64_t>> shapes;
    int seen = 0;  // batches of these shapes
    // What CompiledLoss keeps for recorded_sums_ belongs to these sums; null: it keeps nothing.
    const MetricSums* owner = nullptr;
  };
  Recorded recorded_;
  MetricSums recorded_sums_;  // only its address is of use: for CompiledLoss
};

}  // namespace elephas
