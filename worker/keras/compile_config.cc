#include "worker/keras/compile_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace elephas::keras {

namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

// What compile takes besides losses and metrics; read elsewhere, or without effect on the numbers.
constexpr std::array<std::string_view, 6> kOtherFields{
    "optimizer",   "run_eagerly",     "steps_per_execution",
    "jit_compile", "auto_scale_loss", "pss_evaluation_shards"};

// "accuracy" and the like; Keras takes them in any case.
bool IsOneOf(const json& value, std::string_view first, std::string_view second) {
  if (!value.is_string()) return false;
  std::string lower = value.get<std::string>();
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower == first || lower == second;
}

bool IsObject(const json& value) {  // a serialized loss or metric, not a dict by output name
  return value.is_string() || (value.is_object() && value.contains("class_name"));
}

// One entry per output out of a list, a dict by output name, or one value for all (`shared`).
Result<std::vector<json>> PerOutput(const json& value, const std::string& field,
                                    const std::vector<std::string>& outputs, bool shared) {
  std::vector<json> entries(outputs.size());
  if (value.is_null()) return entries;
  if (value.is_array() && value.size() == outputs.size()) {
    for (std::size_t i = 0; i < outputs.size(); ++i) entries[i] = value[i];
    return entries;
  }
  if (value.is_object() && !IsObject(value)) {
    for (const auto& [name, entry] : value.items()) {
      const auto it = std::find(outputs.begin(), outputs.end(), name);
      if (it == outputs.end()) {
        return Invalid("compile." + field + ": the model has no output '" + name + "'");
      }
      entries[static_cast<std::size_t>(it - outputs.begin())] = entry;
    }
    return entries;
  }
  if (shared && !value.is_array()) return std::vector<json>(outputs.size(), value);
  return Invalid("compile." + field + ": must have one entry for each of the model's " +
                 std::to_string(outputs.size()) + " outputs");
}

class Parser {
 public:
  Parser(const json& compile, const std::vector<std::string>& outputs)
      : compile_(compile), outputs_(outputs) {}

  Result<CompileTerms> Parse() {
    if (!compile_.is_object()) return Invalid("compile: must be an object");
    if (DeeperThan(compile_, kMaxDepth)) return Invalid("compile: nests too deep");
    for (const auto& [name, value] : compile_.items()) {
      const bool ours = name == "loss" || name == "loss_weights" || name == "metrics" ||
                        name == "weighted_metrics";
      if (!ours &&
          std::find(kOtherFields.begin(), kOtherFields.end(), name) == kOtherFields.end()) {
        return Invalid("compile: '" + name + "' is not supported");
      }
    }
    ELEPHAS_RETURN_IF_ERROR(ParseLosses());
    ELEPHAS_RETURN_IF_ERROR(ParseMetrics("metrics", false));
    ELEPHAS_RETURN_IF_ERROR(ParseMetrics("weighted_metrics", true));
    return std::move(terms_);
  }

 private:
  const json& Field(const char* name) const {
    static const json kNull;
    const auto it = compile_.find(name);
    return it == compile_.end() ? kNull : *it;
  }

  Status ParseLosses() {
    ELEPHAS_ASSIGN_OR_RETURN(const std::vector<json> losses,
                             PerOutput(Field("loss"), "loss", outputs_, true));
    const json& weights_field = Field("loss_weights");
    if (weights_field.is_number() && outputs_.size() > 1) {
      return Invalid("compile.loss_weights: must have one weight for each output");
    }
    ELEPHAS_ASSIGN_OR_RETURN(const std::vector<json> weights,
                             PerOutput(weights_field, "loss_weights", outputs_, true));
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (losses[i].is_null()) continue;
      LossTerm term;
      term.output = i;
      term.name = outputs_[i] + "_loss";
      if (!weights[i].is_null()) {
        if (!weights[i].is_number()) return Invalid("compile.loss_weights: must hold numbers");
        term.weight = weights[i].get<double>();
      }
      const bool deferred = IsOneOf(losses[i], "crossentropy", "ce");
      if (!deferred) {
        const std::string where =
            "compile.loss" + (outputs_.size() > 1 ? " of '" + outputs_[i] + "'" : std::string());
        ELEPHAS_ASSIGN_OR_RETURN(term.loss, Loss::FromConfig(losses[i], where));
      }
      terms_.losses.push_back(std::move(term));
    }
    if (terms_.losses.empty()) return Invalid("compile.loss: is missing");
    return OkStatus();
  }

  // All metrics in nested lists and dicts, for a model with one output.
  static void Flatten(const json& value, std::vector<json>& out) {
    if (IsObject(value)) {
      out.push_back(value);
    } else if (value.is_structured()) {
      for (const json& item : value) Flatten(item, out);
    } else if (!value.is_null()) {
      out.push_back(value);
    }
  }

  Status ParseMetrics(const std::string& field, bool weighted) {
    const json& value = Field(field.c_str());
    if (value.is_null()) return OkStatus();
    if (!value.is_structured() || IsObject(value)) {
      return Invalid("compile." + field + ": must be a list or a dict by output name");
    }
    if (value.empty()) return OkStatus();
    if (outputs_.size() == 1) {
      std::vector<json> flat;
      Flatten(value, flat);
      for (const json& item : flat)
        ELEPHAS_RETURN_IF_ERROR(AddMetric(item, field, 0, "", weighted));
      return OkStatus();
    }
    ELEPHAS_ASSIGN_OR_RETURN(const std::vector<json> entries,
                             PerOutput(value, field, outputs_, false));
    for (std::size_t i = 0; i < entries.size(); ++i) {
      std::vector<json> flat;
      Flatten(entries[i], flat);
      for (const json& item : flat) {
        ELEPHAS_RETURN_IF_ERROR(AddMetric(item, field, i, outputs_[i] + "_", weighted));
      }
    }
    return OkStatus();
  }

  Status AddMetric(const json& identifier, const std::string& field, std::size_t output,
                   const std::string& prefix, bool weighted) {
    MetricTerm term;
    term.output = output;
    term.weighted = weighted;
    std::string name;
    if (IsOneOf(identifier, "accuracy", "acc")) {
      name = identifier.get<std::string>();
      term.larger_is_better = true;
    } else {
      ELEPHAS_ASSIGN_OR_RETURN(NamedMetric made, MakeMetric(identifier, "compile." + field));
      name = made.name;
      term.larger_is_better = LargerIsBetter(made.class_name);
      term.metric = std::move(made.metric);
    }
    term.name = UniqueName(name, prefix, weighted);
    terms_.metrics.push_back(std::move(term));
    return OkStatus();
  }

  // As CompileMetrics.result() does it.
  std::string UniqueName(const std::string& base, const std::string& prefix, bool weighted) {
    std::string name = prefix + base;
    if (seen_.contains(name) && weighted) name = prefix + "weighted_" + base;
    const int count = seen_[name]++;
    return count == 0 ? name : name + "_" + std::to_string(count);
  }

  const json& compile_;
  const std::vector<std::string>& outputs_;
  CompileTerms terms_;
  std::map<std::string, int> seen_;
};

}  // namespace

Result<CompileTerms> ParseCompile(const json& compile,
                                  const std::vector<std::string>& output_names) {
  return Parser(compile, output_names).Parse();
}

}  // namespace elephas::keras
