#include "worker/keras_file/compile_config.h"

#include <gtest/gtest.h>

namespace elephas::keras_file {
namespace {

using nlohmann::json;

TEST(CompileConfigTest, NullAndEmptyMeanNotCompiled) {
  EXPECT_TRUE(FromCompileConfig(nullptr).is_null());
  EXPECT_TRUE(FromCompileConfig(json::object()).is_null());
  EXPECT_TRUE(FromTrainingConfig(nullptr).is_null());
  EXPECT_TRUE(ToCompileConfig(nullptr).is_null());
  EXPECT_TRUE(ToTrainingConfig(nullptr).is_null());
}

TEST(CompileConfigTest, OnlyTheWordsOfTheManifestAreKept) {
  const json read = FromCompileConfig(json::parse(R"({
    "optimizer": {"module": "keras.optimizers", "class_name": "Adam", "config": {"name": "adam"},
                  "registered_name": null},
    "loss": {"module": "builtins", "class_name": "function", "config": "mean_squared_error",
             "registered_name": "function"},
    "loss_weights": null, "metrics": ["accuracy"], "weighted_metrics": null,
    "run_eagerly": false, "steps_per_execution": 1, "jit_compile": true})"));
  EXPECT_EQ(read, json::parse(R"({
    "optimizer": {"module": "keras.optimizers", "class_name": "Adam", "config": {"name": "adam"},
                  "registered_name": null},
    "loss": "mean_squared_error", "metrics": ["accuracy"]})"));
}

TEST(CompileConfigTest, Keras2IsTranslated) {
  const json read = FromTrainingConfig(json::parse(R"({
    "loss": "categorical_crossentropy",
    "metrics": [[
      {"class_name": "MeanMetricWrapper",
       "config": {"name": "accuracy", "dtype": "float32", "fn": "categorical_accuracy"}},
      {"class_name": "MeanMetricWrapper",
       "config": {"name": "mae", "dtype": "float32", "fn": "mean_absolute_error"}}]],
    "weighted_metrics": null, "loss_weights": null,
    "optimizer_config": {"class_name": "Custom>Adam", "config": {"learning_rate": 0.5}}})"));
  EXPECT_EQ(read, json::parse(R"({
    "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.5}},
    "loss": "categorical_crossentropy", "metrics": ["accuracy", "mean_absolute_error"]})"));
}

TEST(CompileConfigTest, Keras2LossesAreTranslated) {
  const json read = FromTrainingConfig(json::parse(R"({
    "loss": {"class_name": "SparseCategoricalCrossentropy", "shared_object_id": 9, "config": {
      "reduction": "auto", "name": "scce", "from_logits": true,
      "fn": "sparse_categorical_crossentropy"}}})"));
  EXPECT_EQ(read["loss"], json::parse(R"({"class_name": "SparseCategoricalCrossentropy", "config": {
      "reduction": "sum_over_batch_size", "name": "scce", "from_logits": true}})"));
}

TEST(CompileConfigTest, CrossentropyAsMetricIsTheFunctionThatItStoodFor) {
  const json wrapped = FromTrainingConfig(json::parse(R"({
    "loss": "mse", "metrics": [[{"class_name": "MeanMetricWrapper", "config": {
      "name": "ce", "dtype": "float32", "fn": "categorical_crossentropy"}}]]})"));
  EXPECT_EQ(wrapped["metrics"], (json{"categorical_crossentropy"}));
  const json bare =
      FromTrainingConfig({{"loss", "binary_crossentropy"}, {"metrics", {"crossentropy", "acc"}}});
  EXPECT_EQ(bare["metrics"], (json{"binary_crossentropy", "acc"}));
  EXPECT_EQ(FromTrainingConfig({{"loss", "mse"}, {"metrics", {"ce"}}})["metrics"], (json{"ce"}));
}

TEST(CompileConfigTest, ObjectsGetTheModuleThatKerasLooksThemUpIn) {
  const json written = ToCompileConfig(json::parse(R"({
    "optimizer": {"class_name": "SGD", "config": {
      "learning_rate": {"class_name": "CosineDecay", "config": {"decay_steps": 1}}}},
    "loss": {"a": {"class_name": "Huber"}, "b": "mse"},
    "metrics": [["mae"], [{"class_name": "AUC", "config": null}]]})"));
  EXPECT_EQ(written["optimizer"]["module"], "keras.optimizers");
  EXPECT_EQ(written["optimizer"]["config"]["learning_rate"]["module"],
            "keras.optimizers.schedules");
  EXPECT_EQ(written["loss"]["a"]["module"], "keras.losses");
  EXPECT_EQ(written["loss"]["a"]["config"], json::object());
  EXPECT_EQ(written["loss"]["b"], "mse");
  EXPECT_EQ(written["metrics"][1][0]["module"], "keras.metrics");
  EXPECT_TRUE(written["weighted_metrics"].is_null());
}

TEST(CompileConfigTest, LegacyFilesGetLongNames) {
  const json written = ToTrainingConfig({{"loss", {"mse", nullptr}}, {"metrics", {"MAE", "auc"}}});
  EXPECT_EQ(written["loss"], (json{"mean_squared_error", nullptr}));
  EXPECT_EQ(written["metrics"], (json{"mean_absolute_error", "auc"}));
  EXPECT_EQ(written["optimizer_config"]["class_name"], "rmsprop");
}

}  // namespace
}  // namespace elephas::keras_file
