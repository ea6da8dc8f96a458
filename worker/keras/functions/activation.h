// Keras' activation functions (keras/src/activations) by name, one table.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/config_reader.h"

namespace elephas::keras {

using ActivationFunction = std::function<at::Tensor(const at::Tensor&)>;

struct Activation {
  std::string name = "linear";
  ActivationFunction function;  // empty: linear
  at::Tensor operator()(const at::Tensor& x) const { return function ? function(x) : x; }
};

// A name, a serialized function, or a serialized activation layer without weights (LeakyReLU, …);
// null is linear. kInvalid names what is unknown.
Result<Activation> ParseActivation(const nlohmann::json& input, const std::string& where);
// The option `name` of a layer whose output keeps its shape, which rules out glu.
Activation ReadActivation(ConfigReader& config, std::string_view name, const char* fallback);

// The function of an activation layer without weights (ReLU, LeakyReLU, ELU, Softmax) from its
// options; empty when `class_name` is none of them.
ActivationFunction MakeActivationLayer(std::string_view class_name, ConfigReader& config);

std::vector<std::string_view> ActivationNames();

}  // namespace elephas::keras
