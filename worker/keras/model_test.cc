#include "worker/keras/model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "worker/keras/compile.h"
#include "worker/keras/weights/weight.h"

namespace elephas::keras {
namespace {

using nlohmann::json;

json Layer(const char* class_name, json config) {
  return {{"class_name", class_name}, {"config", std::move(config)}};
}

json Input(const json& shape, const char* dtype = "float32") {
  return Layer("InputLayer", {{"batch_shape", shape}, {"dtype", dtype}, {"name", "in"}});
}

json Sequential(std::vector<json> layers) {
  return {{"class_name", "Sequential"}, {"config", {{"name", "s"}, {"layers", std::move(layers)}}}};
}

json Mlp() {
  return Sequential({Input({nullptr, 4}), Layer("Dense", {{"units", 3}, {"activation", "relu"}}),
                     Layer("BatchNormalization", json::object()),
                     Layer("Dense", {{"units", 2}, {"trainable", false}}),
                     Layer("Dense", {{"units", 2}, {"activation", "softmax"}})});
}

std::unique_ptr<Model> Make(const json& config, std::uint64_t seed = 1) {
  Result<std::unique_ptr<Model>> model = Model::FromConfig(config, seed);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? *std::move(model) : nullptr;
}

TEST(ModelTest, WeightsAreNamedByLayerAndTrainableOnesComeFirst) {
  const auto model = Make(Mlp());
  std::vector<std::string> names;
  for (const WeightLayout& weight : model->layout().weights) names.push_back(weight.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "dense/kernel", "dense/bias", "batch_normalization/gamma",
                       "batch_normalization/beta", "dense_2/kernel", "dense_2/bias",
                       "batch_normalization/moving_mean", "batch_normalization/moving_variance",
                       "dense_1/kernel", "dense_1/bias"}));
  EXPECT_EQ(model->layout().trainable_elements, 12 + 3 + 3 + 3 + 4 + 2);
  EXPECT_EQ(model->layout().total_elements, model->parameters().numel());
}

TEST(ModelTest, TheSameSeedGivesTheSameWeights) {
  EXPECT_TRUE(at::equal(Make(Mlp(), 5)->parameters(), Make(Mlp(), 5)->parameters()));
  EXPECT_FALSE(at::equal(Make(Mlp(), 5)->parameters(), Make(Mlp(), 6)->parameters()));
}

void Collect(const WeightGroup& group, std::vector<Weight*>& out) {
  out.insert(out.end(), group.weights.begin(), group.weights.end());
  for (const auto& child : group.children) Collect(*child, out);
}

TEST(ModelTest, WeightsAndGradientsStayInsideTheArenaThroughTraining) {
  const auto model = Make(Mlp());
  std::vector<Weight*> weights;
  Collect(model->weight_tree(), weights);
  const at::Storage arena = model->parameters().storage();
  const at::Storage gradients = model->gradients().storage();
  for (int step = 0; step < 5; ++step) {
    model->gradients().zero_();
    const at::Tensor out = model->Forward({at::randn({8, 4})}, true)[0];
    at::square(out).sum().backward();
    const c10::InferenceMode guard(false);
    model->parameters().narrow(0, 0, model->gradients().numel()).sub_(model->gradients());
  }
  EXPECT_GT(at::abs(model->gradients()).sum().item<float>(), 0.0F);
  for (const Weight* weight : weights) {
    EXPECT_TRUE(weight->tensor.storage().is_alias_of(arena)) << weight->path;
    if (!weight->trainable) continue;
    EXPECT_TRUE(weight->tensor.grad().storage().is_alias_of(gradients)) << weight->path;
  }
}

TEST(ModelTest, BatchStatisticsMoveOnlyWhileTraining) {
  const auto model = Make(Mlp());
  const at::Tensor before = model->parameters().clone();
  model->Forward({at::randn({8, 4})}, false);
  EXPECT_TRUE(at::equal(before, model->parameters()));
  model->Forward({at::randn({8, 4})}, true);
  EXPECT_FALSE(at::equal(before, model->parameters()));
}

TEST(ModelTest, EvaluationRecordsNoGradients) {
  const auto model = Make(Mlp());
  EXPECT_FALSE(model->Forward({at::randn({2, 4})}, false)[0].requires_grad());
  EXPECT_TRUE(model->Forward({at::randn({2, 4})}, true)[0].requires_grad());
}

TEST(ModelTest, DropoutKeepsTheMeanAndFollowsTheSeed) {
  const auto model = Make(Sequential({Input({nullptr, 1000}), Layer("Dropout", {{"rate", 0.3}})}));
  const at::Tensor ones = at::ones({20, 1000});
  EXPECT_TRUE(at::equal(model->Forward({ones}, false)[0], ones));
  at::manual_seed(3);
  const at::Tensor first = model->Forward({ones}, true)[0];
  at::manual_seed(3);
  EXPECT_TRUE(at::equal(first, model->Forward({ones}, true)[0]));
  EXPECT_NEAR(first.mean().item<float>(), 1.0, 0.02);
  EXPECT_NEAR((first == 0).to(at::kFloat).mean().item<float>(), 0.3, 0.02);
}

TEST(ModelTest, RandomLayersKeepTheMomentsThatTheyPromise) {
  const at::Tensor x = at::ones({50, 40, 30});
  const auto run = [&](const char* class_name, const json& config) {
    const auto model = Make(Sequential({Input({nullptr, 40, 30}), Layer(class_name, config)}));
    at::manual_seed(1);
    return model->Forward({x}, true)[0];
  };
  const at::Tensor noise = run("GaussianNoise", {{"stddev", 0.5}});
  EXPECT_NEAR(noise.mean().item<float>(), 1.0, 0.01);
  EXPECT_NEAR(noise.std().item<float>(), 0.5, 0.01);
  const at::Tensor scaled = run("GaussianDropout", {{"rate", 0.2}});
  EXPECT_NEAR(scaled.std().item<float>(), 0.5, 0.01);
  const at::Tensor spatial = run("SpatialDropout1D", {{"rate", 0.4}});
  EXPECT_TRUE(at::equal(spatial, spatial.narrow(1, 0, 1).expand_as(spatial)));
  EXPECT_NEAR(spatial.mean().item<float>(), 1.0, 0.06);
  // Whole channels go, each row's its own.
  const auto channels = [](const char* class_name, const json& shape, at::IntArrayRef sizes) {
    const auto model = Make(Sequential({Input(shape), Layer(class_name, {{"rate", 0.4}})}));
    at::manual_seed(1);
    const at::Tensor whole = model->Forward({at::ones(sizes)}, true)[0].flatten(1, -2);
    EXPECT_TRUE(at::equal(whole, whole.narrow(1, 0, 1).expand_as(whole))) << class_name;
    EXPECT_NEAR(whole.mean().item<float>(), 1.0, 0.06) << class_name;
    EXPECT_NEAR((whole == 0).to(at::kFloat).mean().item<float>(), 0.4, 0.04) << class_name;
  };
  channels("SpatialDropout2D", {nullptr, 5, 4, 30}, {50, 5, 4, 30});
  channels("SpatialDropout3D", {nullptr, 3, 2, 2, 30}, {50, 3, 2, 2, 30});
  // Of a standard normal input, AlphaDropout keeps mean and variance.
  at::manual_seed(2);
  const auto alpha =
      Make(Sequential({Input({nullptr, 1000}), Layer("AlphaDropout", {{"rate", 0.3}})}));
  const at::Tensor kept = alpha->Forward({at::randn({100, 1000})}, true)[0];
  EXPECT_NEAR(kept.mean().item<float>(), 0.0, 0.02);
  EXPECT_NEAR(kept.std().item<float>(), 1.0, 0.02);
}

TEST(ModelTest, AttentionDropsWeightsInTrainingAlone) {
  const auto tensor = [](const char* layer) {
    return json{{"class_name", "__keras_tensor__"},
                {"config", {{"shape", json::array()}, {"keras_history", {layer, 0, 0}}}}};
  };
  // 50 keys alike share a query's attention evenly, so its output counts the weights that stay.
  const auto attend = [&](const std::string& class_name, const json& options, const json& node) {
    json input = Input({nullptr, 50, 1});
    input["name"] = input["config"]["name"] = "x";
    input["inbound_nodes"] = json::array();
    json attention = Layer(class_name.c_str(), options);
    attention["name"] = attention["config"]["name"] = "attention";
    attention["inbound_nodes"] = json::array({node});
    const auto model =
        Make(Layer("Functional", {{"name", "m"},
                                  {"layers", {input, attention}},
                                  {"input_layers", json::array({json{"x", 0, 0}})},
                                  {"output_layers", json::array({json{"attention", 0, 0}})}}));
    model->parameters().fill_(1.0);  // with one feature: everything passes as it is
    const at::Tensor ones = at::ones({200, 50, 1});
    EXPECT_NEAR(model->Forward({ones}, false)[0].std().item<float>(), 0.0, 1e-5) << class_name;
    at::manual_seed(5);
    const at::Tensor dropped = model->Forward({ones}, true)[0].detach();
    const at::Tensor kept = model->Forward({ones}, false)[0].detach();
    EXPECT_NEAR((dropped.mean() / kept.mean()).item<float>(), 1.0, 0.01) << class_name;
    // The mean of 50 draws that are 0, or 1 / 0.6 with probability 0.6.
    const double spread = std::sqrt(0.4 / 0.6 / 50);
    EXPECT_NEAR((dropped / kept).std().item<float>(), spread, 0.1 * spread) << class_name;
  };
  const json x = tensor("x");
  attend("Attention", {{"dropout", 0.4}},
         {{"args", {json::array({x, x})}}, {"kwargs", json::object()}});
  attend("AdditiveAttention", {{"dropout", 0.4}},
         {{"args", {json::array({x, x})}}, {"kwargs", json::object()}});
  attend("MultiHeadAttention",
         {{"num_heads", 1}, {"key_dim", 1}, {"dropout", 0.4}, {"use_bias", false}},
         {{"args", json::array({x, x})}, {"kwargs", json::object()}});
}

TEST(ModelTest, RecurrentDropoutDrawsOneMaskForAllStepsOfARow) {
  const auto model =
      Make(Sequential({Input({nullptr, 4, 1}), Layer("SimpleRNN", {{"units", 1},
                                                                   {"activation", "linear"},
                                                                   {"dropout", 0.25},
                                                                   {"return_sequences", true}})}));
  model->parameters().copy_(
      at::tensor(std::vector<float>{1.0F, 0.0F, 0.0F}));  // kernel 1, the rest 0
  const at::Tensor ones = at::ones({4000, 4, 1});
  EXPECT_TRUE(at::equal(model->Forward({ones}, false)[0], ones));
  at::manual_seed(4);
  const at::Tensor dropped = model->Forward({ones}, true)[0].detach();
  EXPECT_TRUE(at::equal(dropped, dropped.narrow(1, 0, 1).expand_as(dropped)));
  EXPECT_NEAR(dropped.mean().item<float>(), 1.0, 0.03);
  EXPECT_NEAR((dropped == 0).to(at::kFloat).mean().item<float>(), 0.25, 0.03);
}

struct Refusal {
  const char* name;
  json config;
  std::vector<const char*> mentions;
};

TEST(ModelTest, WhatIsNotSupportedIsRefusedByPlaceNameAndClass) {
  json cycle{{"class_name", "Functional"},
             {"config",
              {{"name", "f"},
               {"layers",
                {{{"class_name", "InputLayer"},
                  {"name", "in"},
                  {"config", {{"batch_shape", {nullptr, 2}}, {"name", "in"}}},
                  {"inbound_nodes", json::array()}},
                 {{"class_name", "Add"},
                  {"name", "a"},
                  {"config", {{"name", "a"}}},
                  {"inbound_nodes", {{{"in", 0, 0, json::object()}, {"b", 0, 0, json::object()}}}}},
                 {{"class_name", "Activation"},
                  {"name", "b"},
                  {"config", {{"name", "b"}, {"activation", "relu"}}},
                  {"inbound_nodes", {{{"a", 0, 0, json::object()}}}}}}},
               {"input_layers", {{"in", 0, 0}}},
               {"output_layers", {{"b", 0, 0}}}}}};
  json missing = cycle;
  missing["config"]["layers"][1]["inbound_nodes"][0][1][0] = "nowhere";
  json far = cycle;
  far["config"]["layers"][1]["inbound_nodes"][0][1] = {"in", 7, 0, json::object()};
  json deep = json::array();
  for (int i = 0; i < 5000; ++i) deep = json::array({deep});

  const std::vector<Refusal> refusals{
      {"unknown class",
       Sequential({Input({nullptr, 4}), Layer("Fancy", {{"name", "f1"}})}),
       {"layers[1]", "'f1'", "Fancy"}},
      {"lambda", Sequential({Input({nullptr, 4}), Layer("Lambda", {{"name", "l"}})}), {"Lambda"}},
      {"custom class",
       Sequential(
           {Input({nullptr, 4}),
            {{"class_name", "Mine"}, {"config", json::object()}, {"registered_name", "my>Mine"}}}),
       {"my>Mine"}},
      {"unknown option",
       Sequential({Input({nullptr, 4}), Layer("Dense", {{"units", 2}, {"unit", 3}})}),
       {"'unit'", "Dense"}},
      {"missing option",
       Sequential({Input({nullptr, 4}), Layer("Dense", json::object())}),
       {"'units'"}},
      {"wrong type",
       Sequential({Input({nullptr, 4}), Layer("Dense", {{"units", "many"}})}),
       {"'units'"}},
      {"negative units",
       Sequential({Input({nullptr, 4}), Layer("Dense", {{"units", -1}})}),
       {"'units'"}},
      {"unknown activation",
       Sequential({Input({nullptr, 4}), Layer("Dense", {{"units", 2}, {"activation", "bump"}})}),
       {"bump", "layers[1]"}},
      {"other dtype",
       Sequential({Input({nullptr, 4}), Layer("Dense", {{"units", 2}, {"dtype", "float16"}})}),
       {"float16"}},
      {"overflowing shape",
       Sequential({Input({nullptr, 1099511627776}), Layer("Dense", {{"units", 2147483647}})}),
       {"too large"}},
      {"more memory than there is",
       Sequential({Input({nullptr, 1048576}), Layer("Dense", {{"units", 1000000}})}),
       {"memory"}},
      {"no input shape", Sequential({Layer("Dense", {{"units", 2}})}), {"input shape"}},
      {"no layers", Sequential({}), {"no layers"}},
      {"shapes that do not fit",
       Sequential({Input({nullptr, 4}), Layer("Reshape", {{"target_shape", {3, 3}}})}),
       {"Reshape"}},
      {"window larger than its input",
       Sequential(
           {Input({nullptr, 2, 2, 1}), Layer("Conv2D", {{"filters", 1}, {"kernel_size", 3}})}),
       {"Conv2D", "window"}},
      {"cycle", cycle, {"depend on its own output"}},
      {"missing layer", missing, {"nowhere"}},
      {"missing call", far, {"does not exist"}},
      {"deep nesting", {{"class_name", "Sequential"}, {"config", deep}}, {"deep"}},
      {"subclassed model", {{"class_name", "MyModel"}, {"config", json::object()}}, {"MyModel"}},
      {"stateful lstm",
       Sequential({Input({nullptr, 4, 2}), Layer("LSTM", {{"units", 2}, {"stateful", true}})}),
       {"stateful"}},
      {"not an object", json::array({1, 2}), {"object"}},
      {"name with a slash",
       Sequential({Input({nullptr, 4}), Layer("Dense", {{"units", 2}, {"name", "a/b"}})}),
       {"a/b"}},
      {"two layers of one name",
       Sequential({Input({nullptr, 4}), Layer("Dense", {{"units", 2}, {"name", "d"}}),
                   Layer("Dense", {{"units", 2}, {"name", "d"}})}),
       {"another layer named 'd'"}},
  };
  for (const Refusal& refusal : refusals) {
    const auto model = Model::FromConfig(refusal.config, 1);
    ASSERT_FALSE(model.ok()) << refusal.name;
    EXPECT_EQ(model.status().code(), Code::kInvalid) << refusal.name;
    for (const char* mention : refusal.mentions) {
      EXPECT_NE(model.status().message().find(mention), std::string::npos)
          << refusal.name << ": " << model.status().message();
    }
  }
}

TEST(CompileTest, UnknownNamesAreRefusedWithTheirField) {
  const auto model = Make(Mlp());
  const std::vector<std::pair<json, const char*>> bad{
      {{{"loss", "guess"}}, "guess"},
      {{{"optimizer", "sgd"}}, "loss"},
      {{{"loss", "mse"}, {"metrics", {"luck"}}}, "luck"},
      {{{"loss", "mse"}, {"metrics", "accuracy"}}, "list"},
      {{{"loss", "mse"}, {"loss_weights", {"a"}}}, "loss_weights"},
      {{{"loss", {{"elsewhere", "mse"}}}}, "elsewhere"},
      {{{"loss", {{"class_name", "Huber"}, {"config", {{"delt", 1}}}}}}, "delt"},
      {{{"loss", "mse"}, {"metric", {"mae"}}}, "metric"},
      {{{"loss", "mse"}, {"metrics", {{{"class_name", "F1Score"}, {"config", json::object()}}}}},
       "average"},
  };
  for (const auto& [compile, mention] : bad) {
    const auto loss = CompiledLoss::FromConfig(compile, *model);
    ASSERT_FALSE(loss.ok()) << compile.dump();
    EXPECT_NE(loss.status().message().find(mention), std::string::npos) << loss.status().message();
  }
}

TEST(CompileTest, LabelsOutsideTheClassesAreNamedByRow) {
  const auto model = Make(Mlp());
  const auto loss = CompiledLoss::FromConfig({{"loss", "sparse_categorical_crossentropy"}}, *model);
  ASSERT_TRUE(loss.ok());
  const auto check = [&](const at::Tensor& labels) {
    return (*loss)->CheckLabels(
        {labels}, [](std::int64_t row) { return "y.csv:" + std::to_string(row + 2); });
  };
  EXPECT_TRUE(check(at::tensor(std::vector<std::int64_t>{0, 1, 1})).ok());
  EXPECT_TRUE(check(at::tensor(std::vector<std::int64_t>{0, 1}).unsqueeze(1)).ok());
  EXPECT_NE(
      check(at::tensor(std::vector<std::int64_t>{0, 1, 2})).message().find("y.csv:4: label 2"),
      std::string::npos);
  EXPECT_FALSE(check(at::tensor(std::vector<std::int64_t>{0, -1})).ok());
  EXPECT_FALSE(check(at::tensor(std::vector<float>{0.5F})).ok());
  EXPECT_NE(check(at::zeros({3, 2})).message().find("a row of labels has shape (2,)"),
            std::string::npos)
      << check(at::zeros({3, 2})).message();
}

TEST(CompileTest, SumsOfPartsAreTheSumOfTheWhole) {
  const auto model = Make(Mlp());
  const auto loss = CompiledLoss::FromConfig(
      {{"loss", "mse"}, {"metrics", {"mae", {{"class_name", "AUC"}, {"config", json::object()}}}}},
      *model);
  ASSERT_TRUE(loss.ok());
  const at::Tensor x = at::randn({10, 4});
  const at::Tensor y = (at::rand({10, 2}) > 0.5).to(at::kFloat);
  MetricSums whole, parts;
  const auto add = [&](std::int64_t first, std::int64_t count, MetricSums& sums) {
    const auto out = model->Forward({x.narrow(0, first, count)}, false);
    (*loss)->Compute(out, {{y.narrow(0, first, count)}, {}}, {}, sums);
  };
  add(0, 10, whole);
  add(0, 3, parts);
  MetricSums rest;
  add(3, 7, rest);
  ASSERT_TRUE(AddMetrics(parts, rest).ok());
  for (const auto& [name, state] : whole) {
    EXPECT_NEAR(*MetricValue(state), *MetricValue(parts.at(name)), 1e-6) << name;
  }
}

}  // namespace
}  // namespace elephas::keras
