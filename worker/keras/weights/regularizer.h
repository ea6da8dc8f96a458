// Keras' regularizers (penalties on weights or outputs) and constraints (projections of weights).
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/config_reader.h"

namespace elephas::keras {

// A scalar penalty. Empty: none.
using Regularizer = std::function<at::Tensor(const at::Tensor&)>;
// The projected weight, same shape. Empty: none.
using Constraint = std::function<at::Tensor(const at::Tensor&)>;

// The option `name` of a layer; null or left out: empty.
Regularizer ReadRegularizer(ConfigReader& config, std::string_view name);
Constraint ReadConstraint(ConfigReader& config, std::string_view name);

// Class names; their snake-case forms are taken too.
std::vector<std::string_view> RegularizerNames();
std::vector<std::string_view> ConstraintNames();

}  // namespace elephas::keras
