// Scalars are made in float, as the loops have them, and handed over as the doubles that LibTorch's
// calls take; products of two scalars are made in float too.
#include "worker/device/optimizer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace elephas {

namespace {

using at::Tensor;
using nlohmann::json;
using Tensors = std::vector<Tensor>;

float F(double value) { return static_cast<float>(value); }

double Number(const json& config, const char* name) {
  const auto it = config.find(name);
  return it == config.end() || !it->is_number() ? 0.0 : it->get<double>();
}
bool Flag(const json& config, const char* name) {
  const auto it = config.find(name);
  return it != config.end() && it->is_boolean() && it->get<bool>();
}

// target += (value - target) * share
void Approach(const Tensor& target, const Tensor& value, float share) {
  target.add_(value - target, share);
}
// target = keep * target + add * value
void Blend(const Tensor& target, float keep, const Tensor& value, float add) {
  target.mul_(keep).add_(value, add);
}

using Rule = DeviceOptimizer::Rule;

Rule MakeSgd(const json& c) {
  const float momentum = F(Number(c, "momentum"));
  const bool nesterov = Flag(c, "nesterov");
  return [=](std::int64_t, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    if (s.empty()) {
      p.sub_(g, rate);
      return;
    }
    s[0].mul_(momentum).sub_(g, rate);
    if (nesterov) {
      p.add_(s[0], momentum).sub_(g, rate);
    } else {
      p.add_(s[0]);
    }
  };
}

// AdamW too: its decay is not the rule's.
Rule MakeAdam(const json& c) {
  const float beta_1 = F(Number(c, "beta_1")), beta_2 = F(Number(c, "beta_2"));
  const float less_1 = F(1 - Number(c, "beta_1")), less_2 = F(1 - Number(c, "beta_2"));
  const float epsilon = F(Number(c, "epsilon"));
  const bool amsgrad = Flag(c, "amsgrad");
  return [=](std::int64_t iteration, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    const auto step = static_cast<float>(iteration + 1);
    const float alpha =
        F(rate) * std::sqrt(1.0F - std::pow(beta_2, step)) / (1.0F - std::pow(beta_1, step));
    Approach(s[0], g, less_1);
    Approach(s[1], g * g, less_2);
    if (amsgrad) at::maximum_out(const_cast<Tensor&>(s[2]), s[2], s[1]);
    p.addcdiv_(s[0], (amsgrad ? s[2] : s[1]).sqrt().add_(epsilon), -alpha);
  };
}

Rule MakeRmsprop(const json& c) {
  const float rho = F(Number(c, "rho")), less_rho = F(1 - Number(c, "rho"));
  const float epsilon = F(Number(c, "epsilon")), momentum = F(Number(c, "momentum"));
  const bool centered = Flag(c, "centered"), moves = momentum > 0;
  return [=](std::int64_t, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    Blend(s[0], rho, g * g, less_rho);
    Tensor scale = s[0];
    if (centered) {
      const Tensor& mean = s[moves ? 2 : 1];
      Blend(mean, rho, g, less_rho);
      scale = s[0] - mean * mean;
    }
    const Tensor change = g * rate / (scale + epsilon).sqrt_();
    if (moves) {
      s[1].mul_(momentum).add_(change);
      p.sub_(s[1]);
    } else {
      p.sub_(change);
    }
  };
}

Rule MakeAdagrad(const json& c) {
  const float epsilon = F(Number(c, "epsilon"));
  return [=](std::int64_t, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    s[0].addcmul_(g, g);
    p.addcdiv_(g, (s[0] + epsilon).sqrt_(), -rate);
  };
}

Rule MakeAdadelta(const json& c) {
  const float rho = F(Number(c, "rho")), less_rho = F(1 - Number(c, "rho"));
  const float epsilon = F(Number(c, "epsilon"));
  return [=](std::int64_t, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    Blend(s[0], rho, g * g, less_rho);
    const Tensor delta = -((s[1] + epsilon).sqrt_() * g / (s[0] + epsilon).sqrt_());
    Blend(s[1], rho, delta * delta, less_rho);
    p.add_(delta, rate);
  };
}

Rule MakeAdamax(const json& c) {
  const float beta_1 = F(Number(c, "beta_1")), beta_2 = F(Number(c, "beta_2"));
  const float less_1 = F(1 - Number(c, "beta_1"));
  const float epsilon = F(Number(c, "epsilon"));
  return [=](std::int64_t iteration, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    const float correction = 1.0F - std::pow(beta_1, static_cast<float>(iteration + 1));
    Approach(s[0], g, less_1);
    at::maximum_out(const_cast<Tensor&>(s[1]), s[1] * beta_2, g.abs());
    p.addcdiv_(s[0], (s[1] + epsilon).mul_(correction), -rate);
  };
}

Rule MakeNadam(const json& c) {
  const float beta_1 = F(Number(c, "beta_1")), beta_2 = F(Number(c, "beta_2"));
  const float epsilon = F(Number(c, "epsilon"));
  const double beta = Number(c, "beta_1");
  const auto factor = [beta](std::int64_t step) {
    return beta * (1.0 - 0.5 * std::pow(0.96, static_cast<double>(step)));
  };
  return [=](std::int64_t iteration, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    double product = 1.0;
    const std::int64_t exact = std::min<std::int64_t>(iteration + 1, 2000);
    for (std::int64_t i = 1; i <= exact; ++i) product *= factor(i);
    product *= std::pow(beta, static_cast<double>(iteration + 1 - exact));
    const double u = factor(iteration + 1), next = factor(iteration + 2);
    Approach(s[0], g, 1.0F - beta_1);
    Approach(s[1], g * g, 1.0F - beta_2);
    const Tensor m_hat = s[0] * F(next) / F(1 - product * next) + g * F(1 - u) / F(1 - product);
    const Tensor v_hat = s[1] / (1.0F - std::pow(beta_2, static_cast<float>(iteration + 1)));
    p.addcdiv_(m_hat, v_hat.sqrt().add_(epsilon), -rate);
  };
}

Rule MakeFtrl(const json& c) {
  const float power = F(-Number(c, "learning_rate_power"));
  const float l1 = F(Number(c, "l1_regularization_strength"));
  const float l2 = F(Number(c, "l2_regularization_strength")), b = F(Number(c, "beta"));
  const float shrinkage = F(2 * Number(c, "l2_shrinkage_regularization_strength"));
  return [=](std::int64_t, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    const float quadratic = 2.0F * (l2 + b / (2.0F * F(rate)));
    const Tensor grown = s[0] + g * g;
    const Tensor grown_power = grown.pow(power);
    s[1].add_(g + p * shrinkage - (grown_power - s[0].pow(power)) / rate * p);
    p.copy_((s[1].clamp(-l1, l1) - s[1]) / (grown_power / rate + quadratic));
    s[0].copy_(grown);
  };
}

Rule MakeLion(const json& c) {
  const float beta_1 = F(Number(c, "beta_1")), beta_2 = F(Number(c, "beta_2"));
  return [=](std::int64_t, double rate, Tensor& p, const Tensor& g, const Tensors& s) {
    p.sub_((s[0] * beta_1).add_(g, 1.0F - beta_1).sign_(), rate);
    Blend(s[0], beta_2, g, 1.0F - beta_2);
  };
}

// Null for an optimizer that has no rule here.
Rule MakeRule(const std::string& name, const json& config) {
  static const std::map<std::string, Rule (*)(const json&), std::less<>> kMakers{
      {"Adadelta", MakeAdadelta}, {"Adagrad", MakeAdagrad},
      {"Adam", MakeAdam},         {"AdamW", MakeAdam},
      {"Adamax", MakeAdamax},     {"Ftrl", MakeFtrl},
      {"Lion", MakeLion},         {"Nadam", MakeNadam},
      {"RMSprop", MakeRmsprop},   {"SGD", MakeSgd}};
  const auto maker = kMakers.find(name);
  return maker == kMakers.end() ? nullptr : maker->second(config);
}

}  // namespace

Result<DeviceOptimizer> DeviceOptimizer::For(const Optimizer& optimizer,
                                             std::vector<WeightSlice> weights) {
  const json whole = optimizer.Config();
  const json& config = whole.at("config");
  DeviceOptimizer made(optimizer);
  made.rule_ = MakeRule(whole.at("class_name"), config);
  if (!made.rule_) {
    return Invalid("optimizer '" + whole.at("class_name").get<std::string>() +
                   "' has no rule for GPUs");
  }
  made.weights_ = std::move(weights);
  made.weight_decay_ = Number(config, "weight_decay");
  made.clip_norm_ = Number(config, "clipnorm");
  made.clip_global_norm_ = Number(config, "global_clipnorm");
  made.clip_value_ = Number(config, "clipvalue");
  made.average_ = Flag(config, "use_ema");
  made.average_momentum_ = Number(config, "ema_momentum");
  made.overwrite_every_ = static_cast<std::int64_t>(Number(config, "ema_overwrite_frequency"));
  made.accumulate_ = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(Number(config, "gradient_accumulation_steps")));
  return made;
}

// Without looking at the norm from the host: the factor is computed where the numbers are.
void DeviceOptimizer::Clip(Tensor& gradients) const {
  const auto clip = [](const Tensor& part, double limit) {
    const Tensor norm = part.norm(2, at::kDouble);
    part.mul_(at::where(norm <= limit, at::ones_like(norm), limit / norm).to(at::kFloat));
  };
  if (clip_norm_ > 0) {
    for (const WeightSlice& weight : weights_) {
      clip(gradients.narrow(0, weight.offset, weight.size), clip_norm_);
    }
  } else if (clip_global_norm_ > 0) {
    clip(gradients, clip_global_norm_);
  } else if (clip_value_ > 0) {
    gradients.clamp_(-F(clip_value_), F(clip_value_));
  }
}

void DeviceOptimizer::Step(std::int64_t iteration, Tensor parameters, Tensor gradients,
                           const Tensors& slots) const {
  std::size_t first = average_ ? 1 : 0;
  bool updates = true;
  if (accumulate_ > 1) {
    const Tensor& sum = slots[first++];
    sum.add_(gradients);
    updates = (iteration + 1) % accumulate_ == 0;
    if (updates) {
      gradients.copy_(sum).mul_(1.0F / static_cast<float>(accumulate_));
      sum.zero_();
    }
  }
  const std::int64_t update = iteration / accumulate_;
  if (updates) {
    Clip(gradients);
    const double rate = F(optimizer_->LearningRate(iteration));
    if (weight_decay_ != 0) parameters.sub_(parameters * F(weight_decay_), rate);
    const Tensors own(slots.begin() + static_cast<std::ptrdiff_t>(first), slots.end());
    rule_(update, rate, parameters, gradients, own);
  }
  if (!average_) return;
  Blend(slots[0], update == 0 ? 0.0F : F(average_momentum_), parameters,
        1.0F - (update == 0 ? 0.0F : F(average_momentum_)));
  if (overwrite_every_ > 0 && (update + 1) % overwrite_every_ == 0) parameters.copy_(slots[0]);
}

}  // namespace elephas
