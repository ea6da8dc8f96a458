#include "common/optimizer/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace elephas {
namespace {

using nlohmann::json;

std::unique_ptr<Optimizer> Make(const json& config) {
  Result<std::unique_ptr<Optimizer>> made = Optimizer::FromConfig(config);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return made.ok() ? *std::move(made) : nullptr;
}

json Config(const char* class_name, json options) {
  return {{"class_name", class_name}, {"config", std::move(options)}};
}

// One parameter vector with its slots.
struct Problem {
  std::vector<float> parameters, gradients;
  std::vector<std::vector<float>> slots;
  std::vector<WeightSlice> weights;

  Problem(const Optimizer& optimizer, std::vector<float> p, std::vector<float> g)
      : parameters(std::move(p)), gradients(std::move(g)) {
    for (std::size_t i = 0; i < optimizer.SlotNames().size(); ++i) {
      slots.emplace_back(parameters.size(), optimizer.SlotInitialValue(i));
    }
    weights = {{"w", 0, static_cast<std::int64_t>(parameters.size())}};
  }
  void Step(const Optimizer& optimizer, std::int64_t iteration) {
    std::vector<std::span<float>> spans(slots.begin(), slots.end());
    std::vector<float> scratch = gradients;
    optimizer.Step(iteration, parameters, scratch, spans, weights);
  }
};

TEST(OptimizerTest, NullMeansRmspropAsInKeras) {
  EXPECT_EQ(Make(nullptr)->Config()["class_name"], "RMSprop");
}

TEST(OptimizerTest, NamesAreTakenInAnyCase) {
  EXPECT_EQ(Make("sgd")->Config()["class_name"], "SGD");
  EXPECT_EQ(Make("AdamW")->Config()["class_name"], "AdamW");
}

TEST(OptimizerTest, ConfigFillsInEveryDefaultAndReadsBackTheSame) {
  for (const char* name : {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax",
                           "Nadam", "Ftrl", "Lion"}) {
    const json config = Make(name)->Config();
    EXPECT_TRUE(config["config"].contains("clipnorm")) << name;
    EXPECT_EQ(Make(config)->Config(), config) << name;
  }
}

TEST(OptimizerTest, PlainSgdSubtractsRateTimesGradient) {
  const auto sgd = Make(Config("SGD", {{"learning_rate", 0.5}}));
  Problem problem(*sgd, {1.0F, 2.0F}, {2.0F, -4.0F});
  problem.Step(*sgd, 0);
  EXPECT_EQ(problem.parameters, (std::vector<float>{0.0F, 4.0F}));
  EXPECT_TRUE(sgd->SlotNames().empty());
}

TEST(OptimizerTest, FirstAdamStepHasTheSizeOfTheRate) {
  const auto adam = Make(Config("Adam", {{"learning_rate", 0.1}}));
  Problem problem(*adam, {0.0F, 0.0F}, {3.0F, -0.01F});
  problem.Step(*adam, 0);
  EXPECT_NEAR(problem.parameters[0], -0.1F, 1e-5);
  EXPECT_NEAR(problem.parameters[1], 0.1F, 1e-3);
}

TEST(OptimizerTest, ClipnormBoundsEachWeightAlone) {
  const auto sgd = Make(Config("SGD", {{"learning_rate", 1.0}, {"clipnorm", 1.0}}));
  EXPECT_TRUE(sgd->NeedsWholeGradient());
  Problem problem(*sgd, {0, 0, 0, 0}, {3, 4, 0.3F, 0.4F});
  problem.weights = {{"a", 0, 2}, {"b", 2, 2}};
  problem.Step(*sgd, 0);
  EXPECT_NEAR(problem.parameters[0], -0.6, 1e-6);
  EXPECT_NEAR(problem.parameters[1], -0.8, 1e-6);
  EXPECT_NEAR(problem.parameters[2], -0.3, 1e-6);
}

TEST(OptimizerTest, GlobalClipnormBoundsAllWeightsTogether) {
  const auto sgd = Make(Config("SGD", {{"learning_rate", 1.0}, {"global_clipnorm", 1.0}}));
  Problem problem(*sgd, {0, 0}, {3, 4});
  problem.weights = {{"a", 0, 1}, {"b", 1, 1}};
  problem.Step(*sgd, 0);
  EXPECT_NEAR(problem.parameters[0], -0.6, 1e-6);
  EXPECT_NEAR(problem.parameters[1], -0.8, 1e-6);
}

TEST(OptimizerTest, APartOfTheVectorStepsAsItWouldInTheWhole) {
  for (const char* name : {"SGD", "Adam", "RMSprop", "Nadam", "Lion"}) {
    const auto optimizer = Make(name);
    EXPECT_FALSE(optimizer->NeedsWholeGradient());
    std::vector<float> p(101);
    std::vector<float> g(101);
    std::iota(p.begin(), p.end(), -50.0F);
    for (std::size_t i = 0; i < g.size(); ++i) g[i] = std::sin(static_cast<float>(i));
    Problem whole(*optimizer, p, g);
    Problem part(*optimizer, {p.begin() + 37, p.end()}, {g.begin() + 37, g.end()});
    for (int step = 0; step < 3; ++step) {
      whole.Step(*optimizer, step);
      part.Step(*optimizer, step);
    }
    EXPECT_EQ(std::vector<float>(whole.parameters.begin() + 37, whole.parameters.end()),
              part.parameters)
        << name;
  }
}

TEST(OptimizerTest, AccumulationWaitsForItsLastStep) {
  const auto sgd =
      Make(Config("SGD", {{"learning_rate", 1.0}, {"gradient_accumulation_steps", 2}}));
  Problem problem(*sgd, {0.0F}, {1.0F});
  problem.Step(*sgd, 0);
  EXPECT_EQ(problem.parameters[0], 0.0F);
  problem.gradients = {3.0F};
  problem.Step(*sgd, 1);
  EXPECT_EQ(problem.parameters[0], -2.0F);
}

TEST(OptimizerTest, FinalizeTakesTheMovingAverage) {
  const auto sgd =
      Make(Config("SGD", {{"learning_rate", 1.0}, {"use_ema", true}, {"ema_momentum", 0.5}}));
  Problem problem(*sgd, {0.0F}, {1.0F});
  problem.Step(*sgd, 0);
  problem.Step(*sgd, 1);
  EXPECT_EQ(problem.parameters[0], -2.0F);
  const std::vector<std::span<float>> spans(problem.slots.begin(), problem.slots.end());
  sgd->Finalize(problem.parameters, spans);
  EXPECT_EQ(problem.parameters[0], -1.5F);
}

TEST(OptimizerTest, SchedulesAreEvaluatedAtTheStep) {
  const auto sgd =
      Make(Config("SGD", {{"learning_rate",
                           {{"class_name", "PiecewiseConstantDecay"},
                            {"config", {{"boundaries", {2, 4}}, {"values", {1.0, 0.5, 0.25}}}}}}}));
  EXPECT_TRUE(sgd->HasSchedule());
  EXPECT_EQ(sgd->LearningRate(2), 1.0);
  EXPECT_EQ(sgd->LearningRate(3), 0.5);
  EXPECT_EQ(sgd->LearningRate(5), 0.25);
}

struct Refusal {
  const char* name;
  json config;
  const char* mentions;
};

TEST(OptimizerTest, WhatIsUnknownIsRefusedByName) {
  const std::vector<Refusal> refusals{
      {"class", "adafactor", "adafactor"},
      {"option", Config("SGD", {{"momentun", 0.9}}), "momentun"},
      {"option of another class", Config("SGD", {{"beta_1", 0.9}}), "beta_1"},
      {"type", Config("SGD", {{"momentum", "much"}}), "momentum"},
      {"range", Config("SGD", {{"momentum", 1.5}}), "momentum"},
      {"two clippings", Config("SGD", {{"clipnorm", 1.0}, {"clipvalue", 1.0}}), "clipnorm"},
      {"loss scale", Config("SGD", {{"loss_scale_factor", 2.0}}), "loss_scale_factor"},
      {"accumulation", Config("SGD", {{"gradient_accumulation_steps", 1}}),
       "gradient_accumulation"},
      {"schedule",
       Config("SGD", {{"learning_rate", {{"class_name", "Mine"}, {"config", json::object()}}}}),
       "Mine"},
      {"schedule's option",
       Config("SGD",
              {{"learning_rate",
                {{"class_name", "CosineDecay"},
                 {"config", {{"initial_learning_rate", 0.1}, {"decay_steps", 5}, {"beta", 1}}}}}}),
       "beta"},
      {"custom object",
       {{"class_name", "SGD"}, {"config", json::object()}, {"registered_name", "my>SGD"}},
       "my>SGD"},
      {"form", 7, "optimizer"},
      {"negative rate", Config("SGD", {{"learning_rate", -1}}), "learning_rate"},
  };
  for (const Refusal& refusal : refusals) {
    const auto made = Optimizer::FromConfig(refusal.config);
    ASSERT_FALSE(made.ok()) << refusal.name;
    EXPECT_EQ(made.status().code(), Code::kInvalid) << refusal.name;
    EXPECT_NE(made.status().message().find(refusal.mentions), std::string::npos)
        << refusal.name << ": " << made.status().message();
  }
}

}  // namespace
}  // namespace elephas
