#include "worker/device/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

namespace elephas {
namespace {

using nlohmann::json;

struct Case {
  const char* name;
  json config;
};

class DeviceOptimizerTest : public testing::TestWithParam<Case> {};

// Tensors on the CPU stand in for the GPU's: the formulas are the same, only the kernels differ.
TEST_P(DeviceOptimizerTest, GivesTheNumbersOfTheLoops) {
  const auto optimizer = Optimizer::FromConfig(GetParam().config).value();
  const std::vector<WeightSlice> weights{{"a/kernel", 0, 30}, {"a/bias", 30, 5}};
  const Result<DeviceOptimizer> device = DeviceOptimizer::For(*optimizer, weights);
  ASSERT_TRUE(device.ok()) << device.status().message();

  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> parameters(35);
  for (float& value : parameters) value = normal(random);
  const at::Tensor on_device = at::tensor(parameters);
  std::vector<std::vector<float>> slots;
  std::vector<at::Tensor> device_slots;
  for (std::size_t i = 0; i < optimizer->SlotNames().size(); ++i) {
    slots.emplace_back(parameters.size(), optimizer->SlotInitialValue(i));
    device_slots.push_back(at::tensor(slots.back()));
  }
  for (std::int64_t iteration = 0; iteration < 25; ++iteration) {
    std::vector<float> gradients(parameters.size());
    for (float& value : gradients) value = normal(random);
    const at::Tensor device_gradients = at::tensor(gradients);
    std::vector<std::span<float>> spans(slots.begin(), slots.end());
    optimizer->Step(iteration, parameters, gradients, spans, weights);
    device->Step(iteration, on_device, device_gradients, device_slots);
  }
  const auto* got = on_device.const_data_ptr<float>();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_NEAR(got[i], parameters[i], 2e-5 * (1 + std::fabs(parameters[i]))) << i;
  }
}

json Named(const char* name, json config) {
  return {{"class_name", name}, {"config", std::move(config)}};
}

INSTANTIATE_TEST_SUITE_P(
    EveryRule, DeviceOptimizerTest,
    testing::Values(
        Case{"Sgd", Named("SGD", {{"learning_rate", 0.1}})},
        Case{"Momentum", Named("SGD", {{"learning_rate", 0.1}, {"momentum", 0.9}})},
        Case{"Nesterov",
             Named("SGD", {{"learning_rate", 0.1}, {"momentum", 0.9}, {"nesterov", true}})},
        Case{"Adam", Named("Adam", {{"learning_rate", 0.01}})},
        Case{"Amsgrad", Named("Adam", {{"amsgrad", true}})},
        Case{"AdamW", Named("AdamW", {{"learning_rate", 0.01}, {"weight_decay", 0.1}})},
        Case{"RmsProp", Named("RMSprop", {{"learning_rate", 0.01}})},
        Case{"RmsPropCentered", Named("RMSprop", {{"centered", true}, {"momentum", 0.5}})},
        Case{"RmsPropMomentum", Named("RMSprop", {{"momentum", 0.5}})},
        Case{"Adagrad", Named("Adagrad", {{"learning_rate", 0.1}})},
        Case{"Adadelta", Named("Adadelta", {{"learning_rate", 1.0}})},
        Case{"Adamax", Named("Adamax", {{"learning_rate", 0.01}})},
        Case{"Nadam", Named("Nadam", {{"learning_rate", 0.01}})},
        Case{"Ftrl", Named("Ftrl", {{"learning_rate", 0.1},
                                    {"l1_regularization_strength", 0.01},
                                    {"l2_regularization_strength", 0.02}})},
        Case{"Lion", Named("Lion", {{"learning_rate", 0.01}})},
        Case{"ClippedByNorm", Named("SGD", {{"learning_rate", 0.1}, {"clipnorm", 1.0}})},
        Case{"ClippedByGlobalNorm", Named("SGD", {{"global_clipnorm", 0.5}})},
        Case{"ClippedByValue", Named("SGD", {{"clipvalue", 0.3}})},
        Case{"Averaged",
             Named("Adam",
                   {{"use_ema", true}, {"ema_momentum", 0.9}, {"ema_overwrite_frequency", 5}})},
        Case{"Accumulated", Named("Adam", {{"gradient_accumulation_steps", 4}})}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace elephas
