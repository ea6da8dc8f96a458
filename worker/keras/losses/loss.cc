#include "worker/keras/losses/loss.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

bool IsShortName(std::string_view wanted, std::string_view short_name) {
  if (short_name.empty()) return false;
  std::string upper(short_name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return wanted == short_name || wanted == upper;
}

}  // namespace

std::vector<std::span<const LossEntry>> LossFamilies() {
  return {RegressionLosses(), ProbabilisticLosses(), HingeLosses(), StructuredLosses()};
}

const LossEntry* FindLoss(std::string_view name) {
  for (const auto family : LossFamilies()) {
    for (const LossEntry& entry : family) {
      if (name == entry.class_name || name == entry.function ||
          IsShortName(name, entry.short_name)) {
        return &entry;
      }
    }
  }
  return nullptr;
}

Result<std::unique_ptr<Loss>> Loss::FromConfig(const json& identifier, const std::string& where) {
  ELEPHAS_ASSIGN_OR_RETURN(const ObjectConfig object, ParseObject(identifier, where));
  const LossEntry* entry = FindLoss(object.name);
  if (entry == nullptr) return Invalid(where + ": loss '" + object.name + "' is not supported");
  ConfigReader reader(object.config, where + " (" + object.name + ")");
  auto loss = std::make_unique<Loss>();
  if (reader.IsNull("reduction")) reader.Fail("'reduction' None leaves no number to train with");
  loss->name_ = reader.String("name", std::string(entry->function));
  const std::string reduction =
      reader.Choice("reduction", "sum_over_batch_size",
                    {"sum_over_batch_size", "auto", "mean", "sum", "mean_with_sample_weight"});
  loss->reduction_ = reduction == "sum"                       ? Reduction::kSum
                     : reduction == "mean_with_sample_weight" ? Reduction::kWeightedMean
                                                              : Reduction::kMean;
  reader.Ignore({"dtype", "fn"});
  loss->labels_.form = entry->labels;
  if (entry->labels == LabelForm::kClassIndices) {
    loss->labels_.axis = reader.Int("axis", -1, -16, 16);
    if (reader.Has("ignore_class")) {
      loss->labels_.ignored_class = reader.Int("ignore_class", std::nullopt);
    }
  }
  loss->function_ = entry->make(reader);
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return loss;
}

Tensor Loss::operator()(const Tensor& y_true, const Tensor& y_pred, const Tensor& weights,
                        const Tensor& mask) const {
  Tensor labels = y_true;
  Tensor predictions = y_pred;
  SqueezeOrExpand(labels, predictions);
  Tensor own_mask;
  Tensor values = function_(labels, predictions, &own_mask);
  if (mask.defined()) {
    own_mask = own_mask.defined() ? at::logical_and(mask, own_mask) : mask;
  }
  Tensor factors = MergeMask(weights, own_mask, reduction_ == Reduction::kMean);
  if (factors.defined()) {
    SqueezeOrExpand(values, factors);
    values = values * factors;
  }
  if (values.dim() == 0) return values;
  if (reduction_ == Reduction::kSum) return values.sum();
  if (reduction_ == Reduction::kWeightedMean && factors.defined()) {
    const Tensor total = factors.sum();
    return at::where(total == 0.0, at::zeros_like(total), values.sum() / total);
  }
  return values.mean();
}

void SqueezeOrExpand(Tensor& a, Tensor& b) {
  const auto fit = [](Tensor& longer, Tensor& shorter) {
    if (longer.dim() != shorter.dim() + 1 || longer.size(-1) != 1) return;
    if (shorter.dim() == 1) {
      shorter = shorter.unsqueeze(-1);
    } else {
      longer = longer.squeeze(-1);
    }
  };
  if (a.dim() > b.dim()) {
    fit(a, b);
  } else {
    fit(b, a);
  }
}

Tensor MergeMask(const Tensor& weights, const Tensor& mask, bool rescale) {
  if (!mask.defined()) return weights;
  Tensor factors = mask.to(at::kFloat);
  if (rescale) {
    const auto total = static_cast<double>(mask.numel());
    const Tensor valid = factors.sum();
    factors = factors * at::where(valid == 0.0, at::zeros_like(valid), total / valid);
  }
  if (!weights.defined()) return factors;
  Tensor sample = weights;
  SqueezeOrExpand(factors, sample);
  return sample * factors;
}

}  // namespace elephas::keras
