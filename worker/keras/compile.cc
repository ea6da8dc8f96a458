#include "worker/keras/compile.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "worker/keras/compile_config.h"
#include "worker/keras/config/shape.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

// How Keras chooses among the accuracies and among the crossentropies.
enum class LabelKind : std::uint8_t { kBinary, kSparse, kCategorical };

LabelKind KindOf(const Tensor& y_true, const Tensor& y_pred) {
  const std::int64_t last = y_pred.dim() > 0 ? y_pred.size(-1) : 1;
  if (last == 1) return LabelKind::kBinary;
  const bool sparse = y_true.dim() < y_pred.dim() || (y_true.size(-1) == 1 && last > 1);
  return sparse ? LabelKind::kSparse : LabelKind::kCategorical;
}

const char* AccuracyFor(LabelKind kind) {
  switch (kind) {
    case LabelKind::kBinary:
      return "binary_accuracy";
    case LabelKind::kSparse:
      return "sparse_categorical_accuracy";
    case LabelKind::kCategorical:
      break;
  }
  return "categorical_accuracy";
}

const char* CrossentropyFor(LabelKind kind) {
  switch (kind) {
    case LabelKind::kBinary:
      return "binary_crossentropy";
    case LabelKind::kSparse:
      return "sparse_categorical_crossentropy";
    case LabelKind::kCategorical:
      break;
  }
  return "categorical_crossentropy";
}

void AddMean(MetricSums& sums, const std::string& name, double value, double count) {
  MetricState& state = sums.try_emplace(name, MetricState{"mean", {0.0, 0.0}}).first->second;
  state.values[0] += value * count;
  state.values[1] += count;
}

// The shape of one row of labels that Keras takes for an output: with the class axis or without.
Status CheckShape(const Tensor& labels, const Shape& output, const LabelRule& rule) {
  Shape row(labels.sizes().begin() + 1, labels.sizes().end());
  Shape wanted = output;
  if (rule.form == LabelForm::kFree) return OkStatus();
  if (rule.form == LabelForm::kClassIndices) {
    ELEPHAS_ASSIGN_OR_RETURN(
        const std::int64_t axis,
        NormalizeAxis(rule.axis < 0 ? rule.axis : rule.axis - 1, output.size()));
    if (row.size() == output.size() && row[static_cast<std::size_t>(axis)] == 1) {
      row.erase(row.begin() + axis);
    }
    wanted.erase(wanted.begin() + axis);
  } else if (row.size() + 1 == wanted.size() && wanted.back() == 1) {
    wanted.pop_back();
  } else if (row.size() == wanted.size() + 1 && row.back() == 1) {
    row.pop_back();
  }
  bool fits = row.size() == wanted.size();
  for (std::size_t i = 0; fits && i < row.size(); ++i) {
    fits = wanted[i] == kUnknown || wanted[i] == row[i];
  }
  if (fits) return OkStatus();
  return Invalid("a row of labels has shape " + ToString(row) + ", the output wants " +
                 ToString(wanted));
}

Status CheckClasses(const Tensor& labels, std::int64_t classes, const LabelRule& rule,
                    const CompiledLoss::RowName& row_name) {
  if (labels.numel() == 0) return OkStatus();
  const Tensor values = labels.to(at::kDouble);
  Tensor bad = at::logical_or(values < 0, at::floor(values) != values);
  if (classes != kUnknown) bad = at::logical_or(bad, values >= classes);
  if (rule.ignored_class) {
    bad = at::logical_and(bad, values != static_cast<double>(*rule.ignored_class));
  }
  if (!bad.any().item<bool>()) return OkStatus();
  const auto index = bad.flatten().to(at::kByte).argmax().item<std::int64_t>();
  const std::int64_t row = index / (labels.numel() / labels.size(0));
  return Invalid(row_name(row) + ": label " + json(values.flatten()[index].item<double>()).dump() +
                 " is not a class index from 0 to " +
                 (classes == kUnknown ? "the number of classes" : std::to_string(classes - 1)));
}

class CompiledLossImpl final : public CompiledLoss {
 public:
  CompiledLossImpl(CompileTerms terms, const Model& model)
      : terms_(std::move(terms)), model_(model) {}

  Tensor Compute(const std::vector<Tensor>& outputs, const Targets& targets,
                 const Tensor& regularization, MetricSums& sums) override {
    TORCH_CHECK(targets.labels.size() == outputs.size(), "the model has ", outputs.size(),
                " outputs, there are labels for ", targets.labels.size());
    const auto batch = static_cast<double>(outputs[0].size(0));
    Tensor total;
    for (LossTerm& term : terms_.losses) {
      const Tensor value = LossOf(term, outputs, targets);
      if (terms_.losses.size() > 1) AddLoss(sums, term.name, value, batch);
      const Tensor weighted = term.weight == 1.0 ? value : value * term.weight;
      total = total.defined() ? total + weighted : weighted;
    }
    if (regularization.defined()) total = total + regularization;
    AddLoss(sums, "loss", total, batch);
    const c10::NoGradGuard no_grad;
    for (MetricTerm& term : terms_.metrics) UpdateMetric(term, outputs, targets, sums);
    return total;
  }

  void Defer() override {
    defers_ = true;
    kept_.clear();
  }

  bool Flush(MetricSums& sums) override {
    const auto kept = kept_.find(&sums);
    if (kept == kept_.end()) return true;
    std::vector<Tensor> parts;
    for (const auto& [name, part] : kept->second) parts.push_back(part.added);
    const Tensor all = at::cat(parts).cpu();
    const auto* values = all.const_data_ptr<double>();
    bool finite = true;
    for (const auto& [name, part] : kept->second) {
      MetricState& state = sums.try_emplace(name, part.empty).first->second;
      for (double& value : state.values) value += *values++;
      if (name == "loss") finite = std::isfinite(state.values[0]);
    }
    kept_.erase(kept);
    return finite;
  }

  bool DefersAll() const override {
    // An accuracy that is not chosen yet becomes one of the means.
    return std::ranges::all_of(terms_.metrics, [](const MetricTerm& term) {
      return term.metric == nullptr || term.metric->defers();
    });
  }

  void Move(const MetricSums& from, const MetricSums& to) override {
    for (auto& [name, part] : kept_[&from]) {
      Kept& target = kept_[&to][name];
      if (target.added.defined()) {
        target.added.add_(part.added);
      } else {
        target = {part.empty, part.added.clone()};
      }
      part.added.zero_();
    }
  }

  Status CheckLabels(const std::vector<Tensor>& labels, const RowName& row_name) const override {
    try {
      return CheckAll(labels, row_name);
    } catch (const std::exception& error) {
      return Invalid(std::string("labels: ") + error.what());
    }
  }

  std::vector<std::string> MetricNames() const override {
    std::vector<std::string> names{"loss"};
    if (terms_.losses.size() > 1) {
      for (const LossTerm& term : terms_.losses) names.push_back(term.name);
    }
    for (const MetricTerm& term : terms_.metrics) names.push_back(term.name);
    return names;
  }

  std::map<std::string, bool> LargerIsBetter() const override {
    std::map<std::string, bool> larger{{"loss", false}};
    for (const LossTerm& term : terms_.losses) larger[term.name] = false;
    for (const MetricTerm& term : terms_.metrics) {
      if (term.larger_is_better) larger[term.name] = *term.larger_is_better;
    }
    return larger;
  }

 private:
  // What Flush() is to add to one metric.
  struct Kept {
    MetricState empty;
    Tensor added;  // float64 [values]
  };

  void Keep(MetricSums& sums, const std::string& name, const MetricState& empty, Tensor added) {
    Kept& kept = kept_[&sums][name];
    if (kept.added.defined()) {
      kept.added.add_(added);
    } else {
      kept = {empty, std::move(added)};
    }
  }

  void AddLoss(MetricSums& sums, const std::string& name, const Tensor& value, double count) {
    if (!defers_) return AddMean(sums, name, value.item<double>(), count);
    const Tensor sum = value.detach().to(at::kDouble) * count;
    Keep(sums, name, {"mean", {0.0, 0.0}}, at::stack({sum, at::full_like(sum, count)}));
  }

  [[nodiscard]] Tensor MaskOf(std::size_t output) const {
    const std::vector<Tensor>& masks = model_.OutputMasks();
    return output < masks.size() ? masks[output] : Tensor();
  }

  static Tensor WeightsOf(const Targets& targets, std::size_t output) {
    return targets.sample_weights.empty() ? Tensor() : targets.sample_weights.at(output);
  }

  Tensor LossOf(LossTerm& term, const std::vector<Tensor>& outputs, const Targets& targets) const {
    const Tensor& y_true = targets.labels[term.output];
    const Tensor& y_pred = outputs[term.output];
    if (term.loss == nullptr) {
      // The names are in the table, so this cannot fail.
      term.loss = *Loss::FromConfig(CrossentropyFor(KindOf(y_true, y_pred)), "compile.loss");
    }
    const Tensor labels =
        term.loss->labels().form == LabelForm::kClassIndices ? y_true : y_true.to(at::kFloat);
    return (*term.loss)(labels, y_pred, WeightsOf(targets, term.output), MaskOf(term.output));
  }

  void UpdateMetric(MetricTerm& term, const std::vector<Tensor>& outputs, const Targets& targets,
                    MetricSums& sums) {
    MetricInput input;
    input.y_true = targets.labels[term.output].to(at::kFloat);
    input.y_pred = outputs[term.output].detach();
    input.mask = MaskOf(term.output);
    if (term.weighted) input.weights = WeightsOf(targets, term.output);
    if (term.metric == nullptr) {
      const LabelKind kind = KindOf(input.y_true, input.y_pred);
      term.metric = (*MakeMetric(AccuracyFor(kind), "compile.metrics")).metric;
    }
    if (defers_ && term.metric->defers()) {
      return Keep(sums, term.name, term.metric->Empty(), term.metric->Added(input));
    }
    auto [it, inserted] = sums.try_emplace(term.name);
    if (inserted) it->second = term.metric->Empty();
    term.metric->Update(input, it->second);
  }

  [[nodiscard]] Status CheckAll(const std::vector<Tensor>& labels, const RowName& row_name) const {
    const std::vector<OutputSpec>& outputs = model_.outputs();
    if (labels.size() != outputs.size()) {
      return Invalid("the model has " + std::to_string(outputs.size()) +
                     " outputs, there are labels for " + std::to_string(labels.size()));
    }
    for (const LossTerm& term : terms_.losses) {
      if (term.loss == nullptr) continue;  // any labels choose a crossentropy that takes them
      const OutputSpec& output = outputs[term.output];
      const Tensor& own = labels[term.output];
      const LabelRule& rule = term.loss->labels();
      const std::string where =
          "labels of output '" + output.name + "' (" + term.loss->name() + ")";
      if (own.dim() == 0) return Invalid(where + ": are a scalar");
      if (const Status status = CheckShape(own, output.shape, rule); !status.ok()) {
        return status.Annotate(where);
      }
      if (rule.form != LabelForm::kClassIndices) continue;
      ELEPHAS_ASSIGN_OR_RETURN(
          const std::int64_t axis,
          NormalizeAxis(rule.axis < 0 ? rule.axis : rule.axis - 1, output.shape.size()));
      const std::int64_t classes = output.shape[static_cast<std::size_t>(axis)];
      if (const Status status = CheckClasses(own, classes, rule, row_name); !status.ok()) {
        return status.Annotate(where);
      }
    }
    return OkStatus();
  }

  CompileTerms terms_;
  const Model& model_;
  bool defers_ = false;
  std::map<const MetricSums*, std::map<std::string, Kept>> kept_;
};

}  // namespace

Result<std::unique_ptr<CompiledLoss>> CompiledLoss::FromConfig(const json& compile,
                                                               const Model& model) {
  std::vector<std::string> names;
  for (const OutputSpec& output : model.outputs()) names.push_back(output.name);
  try {
    ELEPHAS_ASSIGN_OR_RETURN(CompileTerms terms, ParseCompile(compile, names));
    return std::unique_ptr<CompiledLoss>(
        std::make_unique<CompiledLossImpl>(std::move(terms), model));
  } catch (const std::exception& error) {
    return Invalid(std::string("compile: ") + error.what());
  }
}

}  // namespace elephas::keras
