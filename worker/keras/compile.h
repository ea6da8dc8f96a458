// Losses and metrics as keras.Model.compile takes them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/protocol.h"
#include "worker/keras/model.h"

namespace elephas::keras {

// One batch's labels in output order, batch first; sample weights are empty or one per output,
// [batch].
struct Targets {
  std::vector<at::Tensor> labels;
  std::vector<at::Tensor> sample_weights;
};

// Not thread-safe. Refers to the model, which must outlive it: masks of the predictions come from
// there.
class CompiledLoss {
 public:
  // `compile` in Keras' words: loss, loss_weights, metrics, weighted_metrics; each a string,
  // config, list or dict by output name. kInvalid names what is unknown, and a missing loss. The
  // optimizer is read elsewhere (common/optimizer/optimizer.h). "accuracy" is resolved by the output's shape
  // and the loss as Keras does.
  static Result<std::unique_ptr<CompiledLoss>> FromConfig(const nlohmann::json& compile,
                                                          const Model& model);
  virtual ~CompiledLoss() = default;

  // Scalar loss of one batch, regularization included, for backward(). Keras' reduction
  // sum_over_batch_size. Also adds the batch to `sums` under Keras' names ("loss", "accuracy",
  // "dense_1_loss", …), as sums over the batch that are exact to add over batches and partitions.
  // `outputs` are those of the model's last Forward; `regularization` may be undefined. Throws
  // c10::Error for labels or weights whose shapes do not fit.
  virtual at::Tensor Compute(const std::vector<at::Tensor>& outputs, const Targets& targets,
                             const at::Tensor& regularization, MetricSums& sums) = 0;
  // From now on Compute() keeps what it would add on the batch's device, and does not wait for it;
  // Flush() adds that. Metrics that need the host's arithmetic still wait. Called again: what is
  // kept is forgotten.
  virtual void Defer() = 0;
  // Adds to `sums` what was kept for it, and forgets it. One wait, whatever there is. False: a loss
  // among it was a NaN or an infinity.
  virtual bool Flush(MetricSums& sums) = 0;
  // Nothing that Compute() adds needs the host, so that its work can be recorded and repeated.
  [[nodiscard]] virtual bool DefersAll() const = 0;
  // What was kept for `from` is kept for `to` from now on. For `from` nothing is then, in the same
  // memory as before: a recorded Compute() goes on adding there.
  virtual void Move(const MetricSums& from, const MetricSums& to) = 0;
  // "data.csv:18", of the row with that index.
  using RowName = std::function<std::string(std::int64_t row)>;
  // A label cannot be used with the loss (class out of range, negative class, shape): kInvalid with
  // the reason, and the row by `row_name` where one row is to blame. Looks at whole label arrays at
  // once.
  [[nodiscard]] virtual Status CheckLabels(const std::vector<at::Tensor>& labels,
                                           const RowName& row_name) const = 0;
  // The names that Compute adds, in Keras' order: "loss", the losses of several outputs, the
  // metrics.
  [[nodiscard]] virtual std::vector<std::string> MetricNames() const = 0;
  // Of those that say so in Keras, losses included: true when a larger value is better.
  [[nodiscard]] virtual std::map<std::string, bool> LargerIsBetter() const = 0;
};

}  // namespace elephas::keras
