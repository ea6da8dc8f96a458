#include "common/optimizer/optimizer.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>

#include "common/optimizer/learning_rate.h"
#include "common/optimizer/loops.h"
#include "common/optimizer/options.h"
#include "common/optimizer/rules.h"

namespace elephas {

namespace {

using nlohmann::json;

struct Clipping {
  std::optional<double> norm, value, global_norm;
};

// keras.Optimizer: what every rule has in common, in Keras' order: accumulate, clip, decay, update,
// average.
class RuleOptimizer final : public Optimizer {
 public:
  static Result<std::unique_ptr<Optimizer>> Make(const UpdateRuleEntry& entry, const json& config) {
    auto made = std::unique_ptr<RuleOptimizer>(new RuleOptimizer);
    OptimizerOptions options(config, "optimizer " + std::string(entry.class_name));
    ELEPHAS_RETURN_IF_ERROR(made->Read(options, entry));
    ELEPHAS_RETURN_IF_ERROR(options.Finish());
    made->config_ = {{"module", "keras.optimizers"},
                     {"class_name", entry.class_name},
                     {"config", options.whole()},
                     {"registered_name", nullptr}};
    return std::unique_ptr<Optimizer>(std::move(made));
  }

  // What Make() asks of a config.
  static OptionTable Table(const UpdateRuleEntry& entry) {
    static const json kNone = json::object();
    OptimizerOptions options(kNone, "");
    RuleOptimizer made;
    // Defaults are never wrong.
    if (const Status status = made.Read(options, entry); !status.ok()) std::abort();
    return {entry.class_name, options.infos()};
  }

  json Config() const override { return config_; }

  std::vector<std::vector<std::string>> SlotGroups() const override {
    std::vector<std::vector<std::string>> groups;
    if (use_ema_) groups.push_back({"average"});
    if (accumulation_ > 1) groups.push_back({"gradient_accumulator"});
    for (auto& group : rule_->SlotGroups()) groups.push_back(std::move(group));
    return groups;
  }

  std::vector<std::string> SlotNames() const override {
    std::vector<std::string> names;
    for (const auto& group : SlotGroups()) names.insert(names.end(), group.begin(), group.end());
    return names;
  }

  float SlotInitialValue(std::size_t index) const override {
    return index < FirstRuleSlot() ? 0.0F : rule_->SlotInitialValue(index - FirstRuleSlot());
  }

  double LearningRate(std::int64_t iteration) const override { return rate_.at(iteration); }
  bool NeedsWholeGradient() const override { return clip_.norm || clip_.global_norm; }
  bool HasSchedule() const override { return rate_.config.is_object(); }
  std::vector<float> TrailingScalars(std::int64_t iterations) const override {
    return rule_->TrailingScalars(iterations / accumulation_);
  }

  void Step(std::int64_t iteration, std::span<float> parameters, std::span<float> gradients,
            std::span<const std::span<float>> slots,
            std::span<const WeightSlice> weights) const override {
    std::span<float> accumulator;
    if (accumulation_ > 1) accumulator = slots[use_ema_ ? 1 : 0];
    if (Accumulate(iteration, gradients, accumulator)) {
      Clip(gradients, weights);
      const auto rate = static_cast<float>(rate_.at(iteration));
      if (weight_decay_) {
        loops::DecayLoop(parameters.size(), parameters.data(), static_cast<float>(*weight_decay_),
                         rate);
      }
      std::vector<float*> rule_slots;
      for (std::size_t i = FirstRuleSlot(); i < slots.size(); ++i) {
        rule_slots.push_back(slots[i].data());
      }
      rule_->Update(iteration / accumulation_, rate, parameters.size(), parameters.data(),
                    gradients.data(), rule_slots.data());
    }
    if (use_ema_) Average(iteration / accumulation_, parameters, slots[0]);
  }

  void Finalize(std::span<float> parameters,
                std::span<const std::span<float>> slots) const override {
    if (use_ema_) std::copy(slots[0].begin(), slots[0].end(), parameters.begin());
  }

 private:
  RuleOptimizer() = default;

  Status Read(OptimizerOptions& options, const UpdateRuleEntry& entry) {
    options.String("name", std::string(entry.default_name));
    Result<LearningRateRule> rate =
        ParseLearningRate(options.Any("learning_rate"), entry.learning_rate);
    options.Note("learning_rate", {.kind = OptionKind::kRate, .low = 0});
    if (!rate.ok()) return rate.status().Annotate("optimizer " + std::string(entry.class_name));
    rate_ = *std::move(rate);
    options.Set("learning_rate", rate_.config);
    ReadCommon(options, entry);
    rule_ = entry.make(options);
    return OkStatus();
  }

  void ReadCommon(OptimizerOptions& o, const UpdateRuleEntry& entry) {
    const bool decays = entry.weight_decay >= 0;
    weight_decay_ =
        o.OptionalNumber("weight_decay", decays ? std::optional(entry.weight_decay) : std::nullopt);
    clip_.norm = Positive(o.OptionalNumber("clipnorm", std::nullopt));
    clip_.global_norm = Positive(o.OptionalNumber("global_clipnorm", std::nullopt));
    clip_.value = Positive(o.OptionalNumber("clipvalue", std::nullopt));
    if ((clip_.norm ? 1 : 0) + (clip_.value ? 1 : 0) + (clip_.global_norm ? 1 : 0) > 1) {
      o.Fail("only one of 'clipnorm', 'clipvalue' and 'global_clipnorm' may be set");
    }
    use_ema_ = o.Bool("use_ema", false);
    ema_momentum_ = o.Number("ema_momentum", 0.99, 0.0, 1.0);
    ema_overwrite_ = o.OptionalInt("ema_overwrite_frequency", 1);
    o.Refuse("loss_scale_factor", {}, " is not supported; float32 needs none");
    o.Set("loss_scale_factor", nullptr);
    accumulation_ = o.OptionalInt("gradient_accumulation_steps", 2).value_or(1);
    if (accumulation_ < 1) accumulation_ = 1;
    // Keras 2 wrote these; they change nothing.
    o.Ignore("jit_compile");
    o.Ignore("is_legacy_optimizer");
    o.Refuse("decay", 0.0, " is not supported; use a schedule");
  }

  static std::optional<double> Positive(std::optional<double> value) {
    return value && *value > 0 ? value : std::nullopt;
  }

  [[nodiscard]] std::size_t FirstRuleSlot() const {
    return (use_ema_ ? 1U : 0U) + (accumulation_ > 1 ? 1U : 0U);
  }

  // True when this step updates the parameters; `gradients` is then the mean of the last ones.
  bool Accumulate(std::int64_t iteration, std::span<float> gradients,
                  std::span<float> accumulator) const {
    if (accumulation_ == 1) return true;
    const bool updates = (iteration + 1) % accumulation_ == 0;
    loops::AccumulateLoop(gradients.size(), accumulator.data(), gradients.data());
    if (!updates) return false;
    std::copy(accumulator.begin(), accumulator.end(), gradients.begin());
    std::fill(accumulator.begin(), accumulator.end(), 0.0F);
    loops::ScaleLoop(gradients.size(), gradients.data(), 1.0F / static_cast<float>(accumulation_));
    return true;
  }

  void Clip(std::span<float> gradients, std::span<const WeightSlice> weights) const {
    if (clip_.norm) {
      for (const WeightSlice& weight : weights) {
        ClipNorm(gradients.subspan(static_cast<std::size_t>(weight.offset),
                                   static_cast<std::size_t>(weight.size)),
                 *clip_.norm);
      }
    } else if (clip_.global_norm) {
      ClipNorm(gradients, *clip_.global_norm);
    } else if (clip_.value) {
      loops::ClampLoop(gradients.size(), gradients.data(), static_cast<float>(*clip_.value));
    }
  }

  // A norm that is not a number makes the gradients so too, as in Keras.
  static void ClipNorm(std::span<float> values, double limit) {
    const double norm = std::sqrt(loops::SumOfSquares(values.size(), values.data()));
    if (norm <= limit) return;
    loops::ScaleLoop(values.size(), values.data(), static_cast<float>(limit / norm));
  }

  void Average(std::int64_t update, std::span<float> parameters, std::span<float> average) const {
    const float momentum = update == 0 ? 0.0F : static_cast<float>(ema_momentum_);
    loops::AverageLoop(parameters.size(), average.data(), parameters.data(), momentum);
    if (ema_overwrite_ && (update + 1) % *ema_overwrite_ == 0) {
      std::copy(average.begin(), average.end(), parameters.begin());
    }
  }

  json config_;
  LearningRateRule rate_;
  std::unique_ptr<UpdateRule> rule_;
  Clipping clip_;
  std::optional<double> weight_decay_;
  bool use_ema_ = false;
  double ema_momentum_ = 0.99;
  std::optional<std::int64_t> ema_overwrite_;
  std::int64_t accumulation_ = 1;
};

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

Result<std::unique_ptr<Optimizer>> Optimizer::FromConfig(const json& config) {
  NamedConfig named{"RMSprop", json::object()};
  if (!config.is_null()) {
    ELEPHAS_ASSIGN_OR_RETURN(named, ParseNamedConfig(config, "optimizer"));
  }
  for (const UpdateRuleEntry& entry : UpdateRules()) {
    if (Lower(named.class_name) == Lower(std::string(entry.class_name))) {
      return RuleOptimizer::Make(entry, named.config);
    }
  }
  return Invalid("optimizer '" + named.class_name + "' is not supported");
}

std::vector<OptionTable> OptimizerTables() {
  std::vector<OptionTable> tables;
  for (const UpdateRuleEntry& entry : UpdateRules()) tables.push_back(RuleOptimizer::Table(entry));
  return tables;
}

Result<std::unique_ptr<Optimizer>> WithLearningRate(const Optimizer& optimizer, double rate) {
  json config = optimizer.Config();
  if (optimizer.HasSchedule()) {
    return Invalid("the learning rate of optimizer " + config["class_name"].get<std::string>() +
                   " follows a schedule and cannot be set");
  }
  config["config"]["learning_rate"] = rate;
  return Optimizer::FromConfig(config);
}

}  // namespace elephas
