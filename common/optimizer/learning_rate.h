// Learning rates: constants and the schedules of keras.optimizers.schedules.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/optimizer/options.h"

namespace elephas {

struct LearningRateRule {
  // The rate at a step, counted from 0. Pure.
  std::function<double(std::int64_t step)> at;
  nlohmann::json config;  // as Keras writes it, defaults filled in
};

// A number, a schedule's {"class_name", "config"}, or null for `fallback`. kInvalid names what is
// wrong.
Result<LearningRateRule> ParseLearningRate(const nlohmann::json& input, double fallback);

// The schedules' class names.
std::vector<std::string_view> ScheduleNames();
// What each schedule's config may hold.
std::vector<OptionTable> ScheduleTables();

}  // namespace elephas
