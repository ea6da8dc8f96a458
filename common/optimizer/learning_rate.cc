// The formulas follow keras/src/optimizers/schedules/learning_rate_schedule.py. Keras computes them
// in float32; double here differs by rounding only.
#include "common/optimizer/learning_rate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/optimizer/options.h"

namespace elephas {

namespace {

using Rate = std::function<double(std::int64_t)>;

double RequiredNumber(OptimizerOptions& o, std::string_view name) { return o.RequiredNumber(name); }

double DecaySteps(OptimizerOptions& o, std::string_view name) {
  return std::max(o.RequiredNumber(name, /*positive=*/true), 1e-9);
}

Rate ExponentialDecay(OptimizerOptions& o) {
  const double initial = RequiredNumber(o, "initial_learning_rate");
  const double steps = DecaySteps(o, "decay_steps");
  const double rate = RequiredNumber(o, "decay_rate");
  const bool staircase = o.Bool("staircase", false);
  return [=](std::int64_t step) {
    const double p = static_cast<double>(step) / steps;
    return initial * std::pow(rate, staircase ? std::floor(p) : p);
  };
}

Rate InverseTimeDecay(OptimizerOptions& o) {
  const double initial = RequiredNumber(o, "initial_learning_rate");
  const double steps = DecaySteps(o, "decay_steps");
  const double rate = RequiredNumber(o, "decay_rate");
  const bool staircase = o.Bool("staircase", false);
  return [=](std::int64_t step) {
    const double p = static_cast<double>(step) / steps;
    return initial / (1.0 + rate * (staircase ? std::floor(p) : p));
  };
}

Rate PolynomialDecay(OptimizerOptions& o) {
  const double initial = RequiredNumber(o, "initial_learning_rate");
  const double steps = DecaySteps(o, "decay_steps");
  const double end = o.Number("end_learning_rate", 0.0001);
  const double power = o.Number("power", 1.0);
  const bool cycle = o.Bool("cycle", false);
  return [=](std::int64_t step) {
    auto at = static_cast<double>(step);
    double length = steps;
    if (cycle) {
      length *= step == 0 ? 1.0 : std::ceil(at / steps);
    } else {
      at = std::min(at, steps);
    }
    return (initial - end) * std::pow(1.0 - at / length, power) + end;
  };
}

Rate CosineDecay(OptimizerOptions& o) {
  const double initial = RequiredNumber(o, "initial_learning_rate");
  const double steps = DecaySteps(o, "decay_steps");
  const double alpha = o.Number("alpha", 0.0);
  const std::optional<double> target = o.OptionalNumber("warmup_target", std::nullopt);
  const double warmup = o.Number("warmup_steps", 0, 0);
  return [=](std::int64_t step) {
    const auto decayed = [&](double at, double from) {
      const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * at / steps));
      return from * ((1.0 - alpha) * cosine + alpha);
    };
    const auto at = static_cast<double>(step);
    if (!target) return decayed(std::min(at, steps), initial);
    const double bounded = std::min(at, steps + warmup);
    if (bounded < warmup) return (*target - initial) * (bounded / warmup) + initial;
    return decayed(bounded - warmup, *target);
  };
}

Rate CosineDecayRestarts(OptimizerOptions& o) {
  const double initial = RequiredNumber(o, "initial_learning_rate");
  const double first = DecaySteps(o, "first_decay_steps");
  const double t_mul = o.Number("t_mul", 2.0, 1.0);
  const double m_mul = o.Number("m_mul", 1.0);
  const double alpha = o.Number("alpha", 0.0);
  return [=](std::int64_t step) {
    double fraction = static_cast<double>(step) / first;
    double restarts = std::floor(fraction);
    if (t_mul == 1.0) {
      fraction -= restarts;
    } else {
      // Float32 as Keras: at a restart itself the rounding decides on which side of it we are.
      const auto t = static_cast<float>(t_mul);
      const auto f = static_cast<float>(fraction);
      restarts = std::floor(std::log(1.0F - f * (1.0F - t)) / std::log(t));
      const double grown = std::pow(t_mul, restarts);
      fraction = (fraction - (1.0 - grown) / (1.0 - t_mul)) / grown;
    }
    const double cosine =
        0.5 * std::pow(m_mul, restarts) * (1.0 + std::cos(std::numbers::pi * fraction));
    return initial * ((1.0 - alpha) * cosine + alpha);
  };
}

constexpr std::size_t kMostBoundaries = 100000;

Rate PiecewiseConstantDecay(OptimizerOptions& o) {
  const std::vector<double> boundaries = o.RequiredNumbers("boundaries", kMostBoundaries);
  const std::vector<double> values = o.RequiredNumbers("values", kMostBoundaries);
  if (values.size() != boundaries.size() + 1 || boundaries.empty()) {
    o.Fail("'values' must have one entry more than 'boundaries'");
  }
  return [=](std::int64_t step) {
    std::size_t i = 0;
    while (i < boundaries.size() && static_cast<double>(step) > std::trunc(boundaries[i])) ++i;
    return values[i];
  };
}

struct Entry {
  std::string_view class_name;
  std::string_view default_name;
  Rate (*make)(OptimizerOptions&);
};
constexpr std::array<Entry, 6> kSchedules{{
    {"ExponentialDecay", "ExponentialDecay", ExponentialDecay},
    {"InverseTimeDecay", "InverseTimeDecay", InverseTimeDecay},
    {"PolynomialDecay", "PolynomialDecay", PolynomialDecay},
    {"CosineDecay", "CosineDecay", CosineDecay},
    {"CosineDecayRestarts", "SGDRDecay", CosineDecayRestarts},
    {"PiecewiseConstantDecay", "PiecewiseConstant", PiecewiseConstantDecay},
}};

}  // namespace

std::vector<std::string_view> ScheduleNames() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kSchedules) names.push_back(entry.class_name);
  return names;
}

std::vector<OptionTable> ScheduleTables() {
  static const nlohmann::json kNone = nlohmann::json::object();
  std::vector<OptionTable> tables;
  for (const Entry& entry : kSchedules) {
    OptimizerOptions options(kNone, "");
    options.String("name", "");
    entry.make(options);  // what is missing does not matter here
    tables.push_back({entry.class_name, options.infos()});
  }
  return tables;
}

Result<LearningRateRule> ParseLearningRate(const nlohmann::json& input, double fallback) {
  if (input.is_null() || input.is_number()) {
    const double rate = input.is_null() ? fallback : input.get<double>();
    if (!std::isfinite(rate) || rate < 0) return Invalid("'learning_rate' must not be negative");
    return LearningRateRule{[rate](std::int64_t) { return rate; }, rate};
  }
  if (!input.is_object()) return Invalid("'learning_rate' must be a number or a schedule");
  ELEPHAS_ASSIGN_OR_RETURN(const NamedConfig named, ParseNamedConfig(input, "'learning_rate'"));
  for (const Entry& entry : kSchedules) {
    if (entry.class_name != named.class_name) continue;
    OptimizerOptions options(named.config, "schedule " + named.class_name);
    options.String("name", std::string(entry.default_name));
    LearningRateRule rule{entry.make(options), {}};
    ELEPHAS_RETURN_IF_ERROR(options.Finish());
    rule.config = {{"module", "keras.optimizers.schedules"},
                   {"class_name", named.class_name},
                   {"config", options.whole()},
                   {"registered_name", nullptr}};
    return rule;
  }
  return Invalid("learning rate schedule '" + named.class_name + "' is not supported");
}

}  // namespace elephas
