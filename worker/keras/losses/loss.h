// Keras' losses by name: the value of each sample, and the reductions over a batch.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/config_reader.h"

namespace elephas::keras {

// keras.backend.epsilon()
inline constexpr double kEpsilon = 1e-7;

// Per-sample values of one batch. A function may leave a mask of the values that count.
using LossFunction =
    std::function<at::Tensor(const at::Tensor& y_true, const at::Tensor& y_pred, at::Tensor* mask)>;

enum class LabelForm : std::uint8_t {
  kLikeOutput,    // numbers in the shape of the output
  kClassIndices,  // integers below the size of the class axis
  kFree,          // anything with a batch axis
};

// What a loss wants of its labels, for checking a dataset before training.
struct LabelRule {
  LabelForm form = LabelForm::kLikeOutput;
  std::int64_t axis = -1;
  std::optional<std::int64_t> ignored_class;
};

struct LossEntry {
  std::string_view class_name;  // "MeanSquaredError"
  std::string_view function;    // "mean_squared_error"
  std::string_view short_name;  // "mse"; its upper-case form is accepted too. May be empty
  LossFunction (*make)(ConfigReader& options);
  LabelForm labels = LabelForm::kLikeOutput;
};
// The families, one file each under losses/.
std::span<const LossEntry> RegressionLosses();
std::span<const LossEntry> ProbabilisticLosses();
std::span<const LossEntry> HingeLosses();
std::span<const LossEntry> StructuredLosses();
// All of them.
std::vector<std::span<const LossEntry>> LossFamilies();

// Null when no loss has that name (class, function or short name).
const LossEntry* FindLoss(std::string_view name);

// One loss with its options.
class Loss {
 public:
  // As keras.losses.get: a name or {"class_name", "config"}. kInvalid names what is unknown.
  static Result<std::unique_ptr<Loss>> FromConfig(const nlohmann::json& identifier,
                                                  const std::string& where);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const LabelRule& labels() const { return labels_; }
  // Scalar loss of a batch. `weights` and `mask` (of the predictions) may be undefined.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& y_true, const at::Tensor& y_pred,
                                      const at::Tensor& weights, const at::Tensor& mask) const;

 private:
  enum class Reduction : std::uint8_t { kMean, kSum, kWeightedMean };
  std::string name_;
  LossFunction function_;
  Reduction reduction_ = Reduction::kMean;
  LabelRule labels_;
};

// Keras' helpers, shared with the metrics.

// When ranks differ by one and the longer shape ends in 1, that axis is dropped; a vector is
// extended instead.
void SqueezeOrExpand(at::Tensor& a, at::Tensor& b);
// Sample weights with a mask merged into them; undefined when there is neither. With `rescale`
// masked means stay means (reductions sum_over_batch_size and mean).
at::Tensor MergeMask(const at::Tensor& weights, const at::Tensor& mask, bool rescale);

}  // namespace elephas::keras
