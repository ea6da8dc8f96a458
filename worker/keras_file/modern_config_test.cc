#include "worker/keras_file/modern_config.h"

#include <gtest/gtest.h>

#include <string>

namespace elephas::keras_file {
namespace {

using nlohmann::json;

json Layer(const std::string& class_name, json config) {
  return {{"class_name", class_name}, {"config", std::move(config)}};
}

json Modern(const std::string& class_name, const json& config) {
  json model = Layer("Sequential", {{"name", "m"}, {"layers", {Layer(class_name, config)}}});
  return ModernConfig(std::move(model))["config"]["layers"][0];
}

TEST(ModernConfigTest, AConfigOfKeras3StaysAsItIs) {
  const json model = json::parse(R"({
    "module": "keras.src.models.functional", "registered_name": "Functional",
    "class_name": "Functional", "config": {"name": "m", "layers": [
      {"module": "keras.layers", "class_name": "InputLayer", "registered_name": null, "name": "a",
       "config": {"batch_shape": [null, 4], "name": "a"}, "inbound_nodes": []},
      {"module": "keras.layers", "class_name": "BatchNormalization", "registered_name": null,
       "name": "b", "config": {"name": "b", "axis": -1}, "inbound_nodes": [
         {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}}],
          "kwargs": {"mask": null}}]}],
      "input_layers": [["a", 0, 0]], "output_layers": [["b", 0, 0]]}})");
  EXPECT_EQ(ModernConfig(model), model);
}

TEST(ModernConfigTest, WhatIsMalformedStaysForTheBuilderToRefuse) {
  for (
      const char* text :
      {"null", "[]", "{}", R"({"class_name": 1, "config": {}})",
       R"({"class_name": "Sequential", "config": 3, "module": "keras"})",
       R"({"class_name": "Sequential", "config": {"layers": [null, 1, []]}, "module": "keras"})"}) {
    EXPECT_EQ(ModernConfig(json::parse(text)), json::parse(text));
  }
}

TEST(ModernConfigTest, AListOfLayersBecomesAConfig) {
  const json model = ModernConfig(Layer(
      "Sequential", json::array({Layer("Dense", {{"batch_input_shape", {nullptr, 8}}}),
                                 Layer("Sequential", json::array({Layer("Dense", {{"units", 1}})})),
                                 Layer("Sequential", json::array())})));
  EXPECT_EQ(model["module"], "keras");
  EXPECT_EQ(model["config"]["name"], "sequential");
  const json& layers = model["config"]["layers"];
  ASSERT_EQ(layers.size(), 4U);
  EXPECT_EQ(layers[0]["class_name"], "InputLayer");
  EXPECT_EQ(layers[0]["config"]["batch_shape"], (json{nullptr, 8}));
  EXPECT_EQ(layers[1]["config"], json::object());
  EXPECT_EQ(layers[2]["config"]["name"], "sequential_1");
  EXPECT_EQ(layers[2]["config"]["layers"][0]["module"], "keras.layers");
  EXPECT_EQ(layers[3]["config"]["name"], "sequential_2");
}

TEST(ModernConfigTest, OptionsThatAskForNothingGo) {
  struct Case {
    const char* class_name;
    json before;
    json after;
  };
  const Case cases[] = {
      {"LSTM", {{"implementation", 2}, {"time_major", false}, {"units", 3}}, {{"units", 3}}},
      {"GRU", {{"implementation", 1}}, {{"reset_after", false}}},
      {"GRU", {{"implementation", 1}, {"reset_after", true}}, {{"reset_after", true}}},
      {"Embedding", {{"input_length", 7}}, json::object()},
      {"BatchNormalization",
       {{"axis", {3}}, {"renorm", false}, {"renorm_clipping", nullptr}, {"fused", true}},
       {{"axis", 3}}},
      {"MultiHeadAttention", {{"query_shape", {1}}, {"key_shape", {1}}}, json::object()},
      {"Conv2DTranspose", {{"groups", 1}}, json::object()},
      {"SeparableConv2D", {{"groups", 1}, {"kernel_initializer", "zeros"}}, json::object()},
      {"Dense",
       {{"kernel_initializer", Layer("Zeros", {{"dtype", "float32"}})}},
       {{"kernel_initializer", Layer("Zeros", json::object())}}},
      {"InputLayer",
       {{"batch_input_shape", {nullptr, 2}}, {"ragged", false}},
       {{"batch_shape", {nullptr, 2}}}},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(Modern(test.class_name, test.before)["config"], test.after) << test.class_name;
  }
}

TEST(ModernConfigTest, OptionsThatAskForSomethingStay) {
  struct Case {
    const char* class_name;
    json config;
  };
  const Case cases[] = {
      {"LSTM", {{"time_major", true}}},
      {"BatchNormalization", {{"renorm", true}, {"renorm_momentum", 0.5}}},
      {"BatchNormalization", {{"axis", {1, 2}}}},
      {"Conv2DTranspose", {{"groups", 2}}},
      {"InputLayer", {{"ragged", true}}},
      // Other classes' options are theirs.
      {"Conv2D", {{"groups", 1}, {"kernel_initializer", "zeros"}}},
      {"Dense", {{"implementation", 1}, {"input_length", 2}}},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(Modern(test.class_name, test.config)["config"], test.config) << test.class_name;
  }
}

TEST(ModernConfigTest, WrappedLayersGetTheirModule) {
  const json wrapped =
      Modern("Bidirectional", {{"layer", Layer("LSTM", {{"time_major", false}})},
                               {"backward_layer", Layer("RNN", {{"cell", Layer("GRUCell", {})}})}});
  const json& config = wrapped["config"];
  EXPECT_EQ(config["layer"]["module"], "keras.layers");
  EXPECT_EQ(config["layer"]["config"], json::object());
  EXPECT_EQ(config["backward_layer"]["config"]["cell"]["module"], "keras.layers");
  const json model = Modern("TimeDistributed", {{"layer", Layer("Model", {{"name", "inner"}})}});
  EXPECT_EQ(model["config"]["layer"]["class_name"], "Functional");
  EXPECT_EQ(model["config"]["layer"]["module"], "keras.src.models.functional");
}

TEST(ModernConfigTest, ModulesThatAreGoneAreReplaced) {
  json model = Layer("Functional", {{"name", "m"}});
  model["module"] = "keras.src.engine.functional";
  model["registered_name"] = "Functional";
  EXPECT_EQ(ModernConfig(model)["module"], "keras.src.models.functional");
}

TEST(ModernConfigTest, CallsAreWrittenAsKeras3WritesThem) {
  const auto tensor = [](const char* name) {
    return json{
        {"class_name", "__keras_tensor__"},
        {"config",
         {{"shape", json::array()}, {"dtype", "float32"}, {"keras_history", {name, 0, 0}}}}};
  };
  struct Case {
    const char* class_name;
    const char* before;
    json args;
    json kwargs;
  };
  const Case cases[] = {
      {"Dense", R"([["a", 0, 0, {}]])", json::array({tensor("a")}), json::object()},
      {"Dense", R"(["a", 0, 0])", json::array({tensor("a")}), json::object()},
      {"Add", R"([["a", 0, 0], ["b", 0, 0]])",
       json::array({json::array({tensor("a"), tensor("b")})}), json::object()},
      {"MultiHeadAttention",
       R"([["a", 0, 0, {"value": ["b", 0, 0], "training": false}]])",
       json::array({tensor("a")}),
       {{"value", tensor("b")}, {"training", false}}},
      {"LSTM",
       R"([["a", 0, 0], ["b", 0, 0], ["c", 0, 0]])",
       json::array({tensor("a")}),
       {{"initial_state", json::array({tensor("b"), tensor("c")})}}},
  };
  for (const Case& test : cases) {
    json layer = Layer(test.class_name, json::object());
    layer["inbound_nodes"] = json::array({json::parse(test.before)});
    const json model = ModernConfig(Layer("Model", {{"layers", {layer}}}));
    EXPECT_EQ(model["config"]["layers"][0]["inbound_nodes"][0],
              (json{{"args", test.args}, {"kwargs", test.kwargs}}))
        << test.before;
  }
}

TEST(CheckMeaningsTest, AFunctionThatKeras3ComputesOtherwiseIsRefusedWhereKeras2WroteIt) {
  const json gru = Layer("GRU", {{"name", "g"}, {"recurrent_activation", "hard_sigmoid"}});
  const json model = Layer("Sequential", {{"layers", {Layer("Bidirectional", {{"layer", gru}})}}});
  EXPECT_TRUE(CheckMeanings(model, nullptr).ok());
  EXPECT_TRUE(CheckMeanings(model, "3.5.0").ok());
  const Status status = CheckMeanings(model, "2.15.0");
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_TRUE(status.message().starts_with("layer 'g' (GRU): recurrent_activation 'hard_sigmoid'"));
  EXPECT_TRUE(CheckMeanings(Layer("Dense", {{"activation", "sigmoid"}}), "2.15.0").ok());
}

}  // namespace
}  // namespace elephas::keras_file
