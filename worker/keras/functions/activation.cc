#include "worker/keras/functions/activation.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

Tensor Squareplus(const Tensor& x) { return (x + at::sqrt(x * x + 4.0)) / 2.0; }

Tensor SparsePlus(const Tensor& x) {
  const Tensor curve = at::square(x + 1.0) / 4.0;
  return at::where(x <= -1.0, at::zeros_like(x), at::where(x < 1.0, curve, x));
}

Tensor SparseSigmoid(const Tensor& x) { return at::clamp(0.5 * (x + 1.0), 0.0, 1.0); }

// After Martins and Astudillo 2016, with Keras' own threshold: it adds up the cumulative sums of
// the support where the paper takes the last of them.
Tensor Sparsemax(const Tensor& x) {
  const Tensor sorted = std::get<0>(at::sort(x, -1, /*descending=*/true));
  const Tensor sums = at::cumsum(sorted, -1);
  const Tensor ranks = at::arange(1, x.size(-1) + 1, x.options());
  const Tensor support = sorted - (sums - 1.0) / ranks > 0.0;
  const Tensor count = support.sum(-1, /*keepdim=*/true);
  const Tensor tau = (at::where(support, sums, at::zeros_like(sums)).sum(-1, true) - 1.0) / count;
  return at::clamp_min(x - tau, 0.0);
}

Tensor Glu(const Tensor& x) { return at::glu(x, -1); }

struct ActivationEntry {
  std::string_view name;
  Tensor (*function)(const Tensor&);  // null: linear
};

constexpr std::array<ActivationEntry, 31> kActivations{{
    {"linear", nullptr},
    {"relu", [](const Tensor& x) { return at::relu(x); }},
    {"relu6", [](const Tensor& x) { return at::clamp(x, 0.0, 6.0); }},
    {"leaky_relu", [](const Tensor& x) { return at::leaky_relu(x, 0.2); }},
    {"softmax", [](const Tensor& x) { return at::softmax(x, -1); }},
    {"log_softmax", [](const Tensor& x) { return at::log_softmax(x, -1); }},
    {"sigmoid", [](const Tensor& x) { return at::sigmoid(x); }},
    {"log_sigmoid", [](const Tensor& x) { return at::log_sigmoid(x); }},
    {"tanh", [](const Tensor& x) { return at::tanh(x); }},
    {"elu", [](const Tensor& x) { return at::elu(x); }},
    {"celu", [](const Tensor& x) { return at::celu(x); }},
    {"selu", [](const Tensor& x) { return at::selu(x); }},
    {"gelu", [](const Tensor& x) { return at::gelu(x); }},
    {"glu", Glu},
    {"silu", [](const Tensor& x) { return at::silu(x); }},
    {"swish", [](const Tensor& x) { return at::silu(x); }},
    {"mish", [](const Tensor& x) { return at::mish(x); }},
    {"softplus", [](const Tensor& x) { return at::softplus(x); }},
    {"softsign", [](const Tensor& x) { return x / (1.0 + at::abs(x)); }},
    {"squareplus", Squareplus},
    {"exponential", [](const Tensor& x) { return at::exp(x); }},
    {"hard_sigmoid", [](const Tensor& x) { return at::hardsigmoid(x); }},
    {"hard_silu", [](const Tensor& x) { return at::hardswish(x); }},
    {"hard_swish", [](const Tensor& x) { return at::hardswish(x); }},
    {"hard_tanh", [](const Tensor& x) { return at::clamp(x, -1.0, 1.0); }},
    {"hard_shrink", [](const Tensor& x) { return at::hardshrink(x, 0.5); }},
    {"soft_shrink", [](const Tensor& x) { return at::softshrink(x, 0.5); }},
    {"tanh_shrink", [](const Tensor& x) { return x - at::tanh(x); }},
    {"sparse_plus", SparsePlus},
    {"sparse_sigmoid", SparseSigmoid},
    {"sparsemax", Sparsemax},
}};

// keras.activations.relu with its options: what is above the threshold, cut to [0, max_value],
// minus negative_slope times what is missing below the threshold.
ActivationFunction Relu(ConfigReader& config) {
  const double slope = config.Number("negative_slope", 0.0);
  const double threshold = config.Number("threshold", 0.0);
  const std::optional<double> limit = config.OptionalNumber("max_value");
  return [=](const Tensor& x) {
    Tensor out = threshold == 0.0 ? at::relu(x) : at::where(x > threshold, x, at::zeros_like(x));
    if (limit) out = at::clamp(out, 0.0, *limit);
    if (slope != 0.0) out = out - slope * at::relu(threshold - x);
    return out;
  };
}

ActivationFunction LeakyRelu(ConfigReader& config) {
  // Keras 2 called it alpha, with another default.
  const double slope =
      config.Has("alpha") ? config.Number("alpha", 0.3) : config.Number("negative_slope", 0.3);
  return [slope](const Tensor& x) { return at::leaky_relu(x, slope); };
}

ActivationFunction Elu(ConfigReader& config) {
  const double alpha = config.Number("alpha", 1.0);
  return [alpha](const Tensor& x) { return at::elu(x, alpha); };
}

ActivationFunction Softmax(ConfigReader& config) {
  const std::vector<std::int64_t> axes =
      config.Has("axis") ? config.IntList("axis", -16, 16) : std::vector<std::int64_t>{-1};
  return [axes](const Tensor& x) {
    if (axes.size() == 1) return at::softmax(x, axes[0]);
    return at::exp(x - at::logsumexp(x, axes, /*keepdim=*/true));
  };
}

struct ActivationLayerEntry {
  std::string_view class_name;
  ActivationFunction (*make)(ConfigReader&);
};
constexpr std::array<ActivationLayerEntry, 4> kActivationLayers{{
    {"ReLU", Relu},
    {"LeakyReLU", LeakyRelu},
    {"ELU", Elu},
    {"Softmax", Softmax},
}};

}  // namespace

std::vector<std::string_view> ActivationNames() {
  std::vector<std::string_view> names;
  for (const ActivationEntry& entry : kActivations) names.push_back(entry.name);
  return names;
}

ActivationFunction MakeActivationLayer(std::string_view class_name, ConfigReader& config) {
  for (const ActivationLayerEntry& entry : kActivationLayers) {
    if (entry.class_name == class_name) return entry.make(config);
  }
  return {};
}

Result<Activation> ParseActivation(const json& input, const std::string& where) {
  if (input.is_null()) return Activation{};
  ELEPHAS_ASSIGN_OR_RETURN(const ObjectConfig object, ParseObject(input, where));
  if (input.is_object()) {
    ConfigReader reader(object.config, where + " (" + object.name + ")");
    reader.Ignore({"name", "trainable", "dtype"});
    if (ActivationFunction function = MakeActivationLayer(object.name, reader)) {
      ELEPHAS_RETURN_IF_ERROR(reader.Finish());
      return Activation{object.name, std::move(function)};
    }
  }
  for (const ActivationEntry& entry : kActivations) {
    if (entry.name != object.name) continue;
    return Activation{object.name, entry.function == nullptr ? ActivationFunction{}
                                                             : ActivationFunction(entry.function)};
  }
  return Invalid(where + ": activation '" + object.name + "' is not supported");
}

Activation ReadActivation(ConfigReader& config, std::string_view name, const char* fallback) {
  const json& option = config.Any(name);
  Result<Activation> activation =
      ParseActivation(option.is_null() && fallback != nullptr ? json(fallback) : option,
                      "'" + std::string(name) + "'");
  if (!activation.ok()) {
    config.Fail(activation.status());
    return {};
  }
  if (activation->name == "glu") {
    config.Fail("activation 'glu' halves the last axis; use it in an Activation layer");
  }
  return *std::move(activation);
}

}  // namespace elephas::keras
