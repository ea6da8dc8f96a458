// The formulas follow keras/src/optimizers/*.py of Keras 3, in float32 and in the same order of
// operations.
#include "common/optimizer/rules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "common/optimizer/loops.h"

namespace elephas {

namespace {

using loops::AdamFactors;
using loops::NadamFactors;
using loops::RmsFactors;
using Groups = std::vector<std::vector<std::string>>;

float F(double value) { return static_cast<float>(value); }

class Sgd final : public UpdateRule {
 public:
  explicit Sgd(OptimizerOptions& o)
      : momentum_(o.Number("momentum", 0.0, 0.0, 1.0)), nesterov_(o.Bool("nesterov", false)) {}
  Groups SlotGroups() const override { return momentum_ != 0 ? Groups{{"momentum"}} : Groups{}; }
  void Update(std::int64_t, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    if (momentum_ == 0) return loops::SgdLoop(n, p, g, rate);
    (nesterov_ ? loops::NesterovLoop : loops::MomentumLoop)(n, p, g, slots[0], rate, F(momentum_));
  }

 private:
  double momentum_;
  bool nesterov_;
};

class Adam final : public UpdateRule {
 public:
  explicit Adam(OptimizerOptions& o)
      : beta_1_(o.Number("beta_1", 0.9)),
        beta_2_(o.Number("beta_2", 0.999)),
        epsilon_(o.Number("epsilon", 1e-7)),
        amsgrad_(o.Bool("amsgrad", false)) {}
  Groups SlotGroups() const override {
    Groups groups{{"momentum", "velocity"}};
    if (amsgrad_) groups.push_back({"velocity_hat"});
    return groups;
  }
  void Update(std::int64_t iteration, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    const auto step = static_cast<float>(iteration + 1);
    const float beta_1_power = std::pow(F(beta_1_), step);
    const float beta_2_power = std::pow(F(beta_2_), step);
    const float alpha = rate * std::sqrt(1.0F - beta_2_power) / (1.0F - beta_1_power);
    const AdamFactors factors{alpha, F(1 - beta_1_), F(1 - beta_2_), F(epsilon_)};
    if (amsgrad_) {
      loops::AmsgradLoop(n, p, g, slots[0], slots[1], slots[2], factors);
    } else {
      loops::AdamLoop(n, p, g, slots[0], slots[1], factors);
    }
  }

 private:
  double beta_1_, beta_2_, epsilon_;
  bool amsgrad_;
};

class RmsProp final : public UpdateRule {
 public:
  explicit RmsProp(OptimizerOptions& o)
      : rho_(o.Number("rho", 0.9)),
        momentum_(o.Number("momentum", 0.0)),
        epsilon_(o.Number("epsilon", 1e-7)),
        centered_(o.Bool("centered", false)) {}
  Groups SlotGroups() const override {
    Groups groups{{"velocity"}};
    if (momentum_ > 0) groups.push_back({"momentum"});
    if (centered_) groups.push_back({"average_gradient"});
    return groups;
  }
  void Update(std::int64_t, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    const RmsFactors f{rate, F(rho_), F(1 - rho_), F(momentum_), F(epsilon_)};
    if (centered_ && momentum_ > 0)
      return loops::CenteredMomentumLoop(n, p, g, slots[0], slots[1], slots[2], f);
    if (centered_) return loops::CenteredLoop(n, p, g, slots[0], slots[1], f);
    if (momentum_ > 0) return loops::RmsMomentumLoop(n, p, g, slots[0], slots[1], f);
    loops::RmsLoop(n, p, g, slots[0], f);
  }

 private:
  double rho_, momentum_, epsilon_;
  bool centered_;
};

class Adagrad final : public UpdateRule {
 public:
  explicit Adagrad(OptimizerOptions& o)
      : initial_(o.Number("initial_accumulator_value", 0.1)), epsilon_(o.Number("epsilon", 1e-7)) {}
  Groups SlotGroups() const override { return {{"accumulator"}}; }
  float SlotInitialValue(std::size_t) const override { return F(initial_); }
  void Update(std::int64_t, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    loops::AdagradLoop(n, p, g, slots[0], rate, F(epsilon_));
  }

 private:
  double initial_, epsilon_;
};

class Adadelta final : public UpdateRule {
 public:
  explicit Adadelta(OptimizerOptions& o)
      : rho_(o.Number("rho", 0.95)), epsilon_(o.Number("epsilon", 1e-7)) {}
  Groups SlotGroups() const override { return {{"accumulated_grad", "accumulated_delta_var"}}; }
  void Update(std::int64_t, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    loops::AdadeltaLoop(n, p, g, slots[0], slots[1], rate, F(rho_), F(1 - rho_), F(epsilon_));
  }

 private:
  double rho_, epsilon_;
};

class Adamax final : public UpdateRule {
 public:
  explicit Adamax(OptimizerOptions& o)
      : beta_1_(o.Number("beta_1", 0.9)),
        beta_2_(o.Number("beta_2", 0.999)),
        epsilon_(o.Number("epsilon", 1e-7)) {}
  Groups SlotGroups() const override { return {{"momentum", "norm"}}; }
  void Update(std::int64_t iteration, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    const float correction = 1.0F - std::pow(F(beta_1_), static_cast<float>(iteration + 1));
    loops::AdamaxLoop(n, p, g, slots[0], slots[1], rate, F(1 - beta_1_), F(beta_2_), correction,
                      F(epsilon_));
  }

 private:
  double beta_1_, beta_2_, epsilon_;
};

class Nadam final : public UpdateRule {
 public:
  explicit Nadam(OptimizerOptions& o)
      : beta_1_(o.Number("beta_1", 0.9)),
        beta_2_(o.Number("beta_2", 0.999)),
        epsilon_(o.Number("epsilon", 1e-7)) {}
  Groups SlotGroups() const override { return {{"momentum", "velocity"}}; }
  void Update(std::int64_t iteration, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    const double u = Momentum(iteration + 1);
    const double u_next = Momentum(iteration + 2);
    const double product = Product(iteration + 1);
    const NadamFactors f{rate,
                         1.0F - F(beta_1_),
                         1.0F - F(beta_2_),
                         F(epsilon_),
                         F(u_next),
                         F(1 - u),
                         F(1 - product),
                         F(1 - product * u_next),
                         1.0F - std::pow(F(beta_2_), static_cast<float>(iteration + 1))};
    loops::NadamLoop(n, p, g, slots[0], slots[1], f);
  }
  std::vector<float> TrailingScalars(std::int64_t iterations) const override {
    return {F(Product(iterations))};
  }

 private:
  [[nodiscard]] double Momentum(std::int64_t step) const {
    return beta_1_ * (1.0 - 0.5 * std::pow(0.96, static_cast<double>(step)));
  }
  // The product of the first `steps` momenta. 0.96^2000 is below any float, so beta is all that
  // later factors hold.
  [[nodiscard]] double Product(std::int64_t steps) const {
    double product = 1.0;
    const std::int64_t exact = std::min<std::int64_t>(steps, 2000);
    for (std::int64_t i = 1; i <= exact; ++i) product *= Momentum(i);
    return product * std::pow(beta_1_, static_cast<double>(steps - exact));
  }
  double beta_1_, beta_2_, epsilon_;
};

class Ftrl final : public UpdateRule {
 public:
  explicit Ftrl(OptimizerOptions& o)
      : power_(o.Number("learning_rate_power", -0.5, std::numeric_limits<double>::lowest(), 0.0)),
        initial_(o.Number("initial_accumulator_value", 0.1, 0.0)),
        l1_(o.Number("l1_regularization_strength", 0.0, 0.0)),
        l2_(o.Number("l2_regularization_strength", 0.0, 0.0)),
        shrinkage_(o.Number("l2_shrinkage_regularization_strength", 0.0, 0.0)),
        beta_(o.Number("beta", 0.0)) {}
  Groups SlotGroups() const override { return {{"accumulator", "linear"}}; }
  float SlotInitialValue(std::size_t index) const override { return index == 0 ? F(initial_) : 0; }
  void Update(std::int64_t, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    float* accumulator = slots[0];
    float* linear = slots[1];
    const float l1 = F(l1_);
    const float l2 = F(l2_) + F(beta_) / (2.0F * rate);
    const float shrinkage = F(2 * shrinkage_);
    const float power = F(-power_);
    for (std::size_t i = 0; i < n; ++i) {
      const float used = g[i] + shrinkage * p[i];
      const float grown = accumulator[i] + g[i] * g[i];
      const float grown_power = std::pow(grown, power);
      linear[i] += used - (grown_power - std::pow(accumulator[i], power)) / rate * p[i];
      const float quadratic = grown_power / rate + 2.0F * l2;
      p[i] = (std::clamp(linear[i], -l1, l1) - linear[i]) / quadratic;
      accumulator[i] = grown;
    }
  }

 private:
  double power_, initial_, l1_, l2_, shrinkage_, beta_;
};

class Lion final : public UpdateRule {
 public:
  explicit Lion(OptimizerOptions& o)
      : beta_1_(o.PositiveNumber("beta_1", 0.9, 1.0)), beta_2_(o.Number("beta_2", 0.99)) {}
  Groups SlotGroups() const override { return {{"momentum"}}; }
  void Update(std::int64_t, float rate, std::size_t n, float* p, const float* g,
              float* const* slots) const override {
    const float beta_1 = F(beta_1_);
    const float beta_2 = F(beta_2_);
    loops::LionLoop(n, p, g, slots[0], rate, beta_1, beta_2, 1.0F - beta_1, 1.0F - beta_2);
  }

 private:
  double beta_1_, beta_2_;
};

template <typename Rule>
std::unique_ptr<UpdateRule> Make(OptimizerOptions& options) {
  return std::make_unique<Rule>(options);
}

constexpr std::array<UpdateRuleEntry, 10> kRules{{
    {"SGD", "sgd", 0.01, -1, Make<Sgd>},
    {"Adam", "adam", 0.001, -1, Make<Adam>},
    {"AdamW", "adam_w", 0.001, 0.004, Make<Adam>},
    {"RMSprop", "rm_sprop", 0.001, -1, Make<RmsProp>},
    {"Adagrad", "adagrad", 0.001, -1, Make<Adagrad>},
    {"Adadelta", "adadelta", 0.001, -1, Make<Adadelta>},
    {"Adamax", "adamax", 0.001, -1, Make<Adamax>},
    {"Nadam", "nadam", 0.001, -1, Make<Nadam>},
    {"Ftrl", "ftrl", 0.001, -1, Make<Ftrl>},
    {"Lion", "lion", 0.001, -1, Make<Lion>},
}};

}  // namespace

std::span<const UpdateRuleEntry> UpdateRules() { return kRules; }

}  // namespace elephas
