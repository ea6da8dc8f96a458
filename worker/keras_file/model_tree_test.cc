#include "worker/keras_file/model_tree.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "worker/keras_file/layer_order.h"

namespace elephas::keras_file {
namespace {

using nlohmann::json;

TEST(SnakeCaseTest, IsTheOneOfKeras) {
  for (const auto& [name, expected] : std::vector<std::pair<std::string, std::string>>{
           {"Dense", "dense"},
           {"Conv2D", "conv2d"},
           {"Conv2DTranspose", "conv2d_transpose"},
           {"GlobalAveragePooling1D", "global_average_pooling1d"},
           {"BatchNormalization", "batch_normalization"},
           {"LSTM", "lstm"},
           {"LSTMCell", "lstm_cell"},
           {"PReLU", "p_re_lu"},
           {"LeakyReLU", "leaky_re_lu"},
           {"ELU", "elu"},
           {"MultiHeadAttention", "multi_head_attention"},
           {"TimeDistributed", "time_distributed"},
           {"", ""},
       }) {
    EXPECT_EQ(SnakeCase(name), expected);
  }
}

Object Layer(const std::string& class_name, const std::string& name, bool trainable = true) {
  return {"layers", name, class_name, {{name + "/kernel", {2}, trainable}}, {}};
}

TEST(Keras3PlacesTest, MembersOfAListAreCountedByClass) {
  Object model{"", "m", "Functional", {}, {}};
  model.children = {Layer("Dense", "a"), Layer("Conv2D", "b"), Layer("Dense", "c")};
  Object bidirectional{"layers", "d", "Bidirectional", {}, {}};
  bidirectional.children.push_back({"forward_layer", "f", "LSTM", {}, {}});
  bidirectional.children[0].children.push_back(
      {"cell", "lstm_cell", "LSTMCell", {{"d/f/kernel", {1}, true}, {"d/f/bias", {1}, true}}, {}});
  model.children.push_back(bidirectional);
  std::vector<std::string> found;
  for (const Place& place : Keras3Places(model)) {
    found.push_back(place.group + " " + std::to_string(place.index));
  }
  EXPECT_EQ(found,
            (std::vector<std::string>{"layers/dense 0", "layers/conv2d 0", "layers/dense_1 0",
                                      "layers/bidirectional/forward_layer/cell 0",
                                      "layers/bidirectional/forward_layer/cell 1"}));
}

TEST(LegacyVariablesTest, TrainableOnesComeFirstAndSharedOnesOnce) {
  Object model{"", "m", "Functional", {}, {}};
  model.children = {Layer("Dense", "a", false), Layer("Dense", "b"), Layer("Dense", "b")};
  std::vector<std::string> found;
  for (const Variable* variable : LegacyVariables(model)) found.push_back(variable->path);
  EXPECT_EQ(found, (std::vector<std::string>{"b/kernel", "a/kernel"}));
}

// A layer called on others, in Keras 3's words or, for lists, in Keras 2's.
json Node(const std::string& name, const std::vector<std::string>& inputs, bool old = false) {
  json node = {{"name", name}, {"class_name", "Dense"}, {"inbound_nodes", json::array()}};
  if (inputs.empty()) return node;
  json call = json::array();
  for (const std::string& input : inputs) {
    const json history = {input, 0, 0};
    call.push_back(
        old ? history
            : json{{"class_name", "__keras_tensor__"}, {"config", {{"keras_history", history}}}});
  }
  node["inbound_nodes"] =
      json::array({old ? call : json{{"args", json::array({call})}, {"kwargs", json::object()}}});
  return node;
}

TEST(FunctionalLayerOrderTest, IsByDepthAndThenByTheWalkFromTheOutputs) {
  for (const bool old : {false, true}) {
    const json config = {{"layers",
                          {Node("end", {"long", "short"}, old), Node("short", {"in"}, old),
                           Node("dead", {"in"}, old), Node("long", {"middle"}, old),
                           Node("middle", {"in"}, old), Node("in", {}), Node("unused", {})}},
                         {"input_layers", {{"unused", 0, 0}, {"in", 0, 0}}},
                         {"output_layers", {"end", 0, 0}}};
    ASSERT_TRUE(FunctionalLayerOrder(config).has_value());
    const std::vector<std::string> order = FunctionalLayerOrder(config).value();
    EXPECT_EQ(order, (std::vector<std::string>{"in", "middle", "long", "short", "unused", "end"}));
  }
}

TEST(FunctionalLayerOrderTest, WhatIsNoGraphHasNoOrder) {
  const json cycle = {{"layers", {Node("a", {"b"}), Node("b", {"a"})}},
                      {"input_layers", json::array()},
                      {"output_layers", {{"a", 0, 0}}}};
  EXPECT_EQ(FunctionalLayerOrder(cycle), std::nullopt);
  const json unknown = {{"layers", {Node("a", {"nobody"})}}, {"output_layers", {{"a", 0, 0}}}};
  EXPECT_EQ(FunctionalLayerOrder(unknown), std::nullopt);
  json far = {{"layers", {Node("a", {})}}, {"output_layers", {{"a", 7, 0}}}};
  EXPECT_EQ(FunctionalLayerOrder(far), std::nullopt);
  const json twice = {{"layers", {Node("a", {}), Node("a", {})}}, {"output_layers", {{"a", 0, 0}}}};
  EXPECT_EQ(FunctionalLayerOrder(twice), std::nullopt);
  for (const json& strange :
       {json(), json(3), json::object(), json{{"layers", 3}}, json{{"layers", {3, nullptr}}}}) {
    EXPECT_EQ(FunctionalLayerOrder(strange), std::nullopt);
  }
}

TEST(FunctionalLayerOrderTest, ALongChainDoesNotUseUpTheStack) {
  json layers = json::array({Node("0", {})});
  constexpr int kLength = 10000;
  for (int i = 1; i < kLength; ++i)
    layers.push_back(Node(std::to_string(i), {std::to_string(i - 1)}));
  const json config = {{"layers", layers},
                       {"input_layers", {{"0", 0, 0}}},
                       {"output_layers", {{std::to_string(kLength - 1), 0, 0}}}};
  const auto order = FunctionalLayerOrder(config);
  ASSERT_TRUE(order.has_value());
  EXPECT_EQ(order->size(), static_cast<std::size_t>(kLength));
  EXPECT_EQ(order->front(), "0");
}

TEST(OrderLikeKerasTest, ReachesNestedModels) {
  const json inner = {{"layers", {Node("y", {"x"}), Node("x", {})}},
                      {"input_layers", {{"x", 0, 0}}},
                      {"output_layers", {{"y", 0, 0}}}};
  const json outer = {{"class_name", "Sequential"},
                      {"config",
                       {{"layers",
                         {{{"class_name", "Functional"},
                           {"config",
                            {{"name", "inner"},
                             {"layers", inner["layers"]},
                             {"input_layers", inner["input_layers"]},
                             {"output_layers", inner["output_layers"]}}}}}}}}};
  Object model{"", "outer", "Sequential", {}, {{"layers", "inner", "Functional", {}, {}}}};
  model.children[0].children = {Layer("Dense", "y"), Layer("Dense", "x")};
  OrderLikeKeras(model, outer);
  EXPECT_EQ(model.children[0].children[0].name, "x");
}

}  // namespace
}  // namespace elephas::keras_file
