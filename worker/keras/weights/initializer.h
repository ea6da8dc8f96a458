// Keras' initializers (keras/src/initializers), as pure functions of a seed.
//
// The distributions are Keras'; the numbers are ours, drawn from SplitMix64, so they are the same
// bits on every machine and do not depend on LibTorch.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/config/config_reader.h"
#include "worker/keras/config/shape.h"

namespace elephas::keras {

// Fills `values` (row-major, of `shape`). Pure function of the arguments.
using Initializer =
    std::function<void(const Shape& shape, std::uint64_t seed, std::span<float> values)>;

// `json` as Keras writes it; null means `fallback`. kInvalid names what is unknown.
Result<Initializer> ParseInitializer(const nlohmann::json& input, const std::string& fallback,
                                     const std::string& where);
// The option `name` of a layer.
Initializer ReadInitializer(ConfigReader& config, const std::string& name,
                            const std::string& fallback);

Initializer ConstantInitializer(float value);

// Class names; their snake-case forms are taken too.
std::vector<std::string_view> InitializerNames();

}  // namespace elephas::keras
