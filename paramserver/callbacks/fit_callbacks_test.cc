#include "paramserver/callbacks/fit_callbacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace elephas {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

ModelLayout Layout(const json& learning_rate = 0.5) {
  ModelLayout layout;
  layout.optimizer = {{"class_name", "SGD"}, {"config", {{"learning_rate", learning_rate}}}};
  layout.larger_is_better = {{"loss", false}, {"accuracy", true}};
  return layout;
}

JobSpec Watching(const std::string& monitor, MonitorMode mode = MonitorMode::kAuto) {
  JobSpec spec;
  spec.fit.early_stopping.emplace();
  spec.fit.reduce_lr.emplace();
  spec.fit.model_checkpoint.emplace();
  for (MonitorSpec* watched : std::initializer_list<MonitorSpec*>{
           &*spec.fit.early_stopping, &*spec.fit.reduce_lr, &*spec.fit.model_checkpoint}) {
    watched->monitor = monitor;
    watched->mode = mode;
  }
  return spec;
}

struct Row {
  std::string sentence;
  std::vector<double> values;  // one per epoch
  void (*change)(JobSpec& spec);
  std::int64_t stopped_after = 0;  // 0: never
  std::int64_t restore = 0;        // 0: none
  std::int64_t best = 0;
  double learning_rate = 0.5;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.sentence; }

class FitCallbacksTable : public testing::TestWithParam<Row> {};

// The state goes through a checkpoint after every epoch: decisions do not depend on restarts.
TEST_P(FitCallbacksTable, DecidesTheSameWithARestartAfterEachEpoch) {
  const Row& row = GetParam();
  JobSpec spec = Watching("val_loss");
  row.change(spec);
  for (const bool restarts : {false, true}) {
    FitCallbacks callbacks = FitCallbacks::Make(spec, Layout()).value();
    for (std::size_t epoch = 0; epoch < row.values.size(); ++epoch) {
      if (callbacks.stopped_after()) break;
      callbacks.OnEpochEnd(static_cast<std::int64_t>(epoch), {{"val_loss", row.values[epoch]}});
      if (!restarts) continue;
      const json state = json::parse(callbacks.State().dump());
      callbacks = FitCallbacks::Make(spec, Layout()).value();
      const Status restored = callbacks.SetState(state);
      ASSERT_TRUE(restored.ok()) << restored.message();
    }
    EXPECT_EQ(callbacks.stopped_after().value_or(0), row.stopped_after);
    EXPECT_EQ(callbacks.decisions().restore.value_or(0), row.restore);
    EXPECT_EQ(callbacks.decisions().best.value_or(0), row.best);
    EXPECT_EQ(callbacks.decisions().learning_rate.value_or(0.5), row.learning_rate);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, FitCallbacksTable,
    testing::Values(Row{.sentence = "values that get better never stop it",
                        .values = {5, 4, 3, 2},
                        .change = [](JobSpec&) {},
                        .best = 4},
                    Row{.sentence = "without patience the first epoch that is no better stops it",
                        .values = {5, 4, 4, 3},
                        .change = [](JobSpec&) {},
                        .stopped_after = 3,
                        .best = 2},
                    Row{.sentence = "patience waits, and the best epoch is restored",
                        .values = {5, 3, 4, 4, 4, 1},
                        .change =
                            [](JobSpec& s) {
                              s.fit.early_stopping->patience = 3;
                              s.fit.early_stopping->restore_best_weights = true;
                            },
                        .stopped_after = 5,
                        .restore = 2,
                        .best = 2},
                    Row{.sentence = "a difference of less than minDelta is none",
                        .values = {5, 4.95, 4.91, 4.8},
                        .change =
                            [](JobSpec& s) {
                              s.fit.early_stopping->patience = 2;
                              s.fit.early_stopping->min_delta = 0.1;
                            },
                        .stopped_after = 3,
                        .best = 3},
                    Row{.sentence = "epochs before startFromEpoch are not looked at",
                        .values = {1, 9, 5, 6},
                        .change =
                            [](JobSpec& s) {
                              s.fit.early_stopping->start_from_epoch = 2;
                              s.fit.early_stopping->restore_best_weights = true;
                            },
                        .stopped_after = 4,
                        .restore = 3,
                        .best = 1},
                    Row{.sentence = "what does not beat the baseline is no reason to wait longer",
                        .values = {5, 4, 3.9, 3.95},
                        .change =
                            [](JobSpec& s) {
                              s.fit.early_stopping->baseline = 1.0;
                              s.fit.early_stopping->patience = 3;
                            },
                        .stopped_after = 4,
                        .best = 3},
                    Row{.sentence = "the learning rate is lowered after patience, and again",
                        .values = {1, 1, 1, 1, 1},
                        .change =
                            [](JobSpec& s) {
                              s.fit.early_stopping.reset();
                              s.fit.reduce_lr->patience = 2;
                              s.fit.reduce_lr->factor = 0.5;
                            },
                        .best = 1,
                        .learning_rate = 0.125},
                    Row{.sentence = "cooldown waits before it counts again",
                        .values = {1, 1, 1, 1, 1},
                        .change =
                            [](JobSpec& s) {
                              s.fit.early_stopping.reset();
                              s.fit.reduce_lr->patience = 1;
                              s.fit.reduce_lr->factor = 0.5;
                              s.fit.reduce_lr->cooldown = 3;
                            },
                        .best = 1,
                        .learning_rate = 0.125},
                    Row{.sentence = "not below minLR",
                        .values = {1, 1, 1, 1, 1},
                        .change =
                            [](JobSpec& s) {
                              s.fit.early_stopping.reset();
                              s.fit.reduce_lr->patience = 1;
                              s.fit.reduce_lr->min_lr = 0.25;
                            },
                        .best = 1,
                        .learning_rate = 0.25},
                    Row{.sentence = "NaN is never better",
                        .values = {2, kNaN, 1},
                        .change = [](JobSpec& s) { s.fit.early_stopping->patience = 2; },
                        .best = 3},
                    Row{.sentence = "nothing is better than a NaN that came first",
                        .values = {kNaN, 1, 1},
                        .change = [](JobSpec&) {},
                        .stopped_after = 2,
                        .best = 1}),
    [](const auto& row) {
      std::string name;
      for (const char c : row.param.sentence) name += std::isalnum(c) != 0 ? c : '_';
      return name;
    });

TEST(FitCallbacks, AutoFollowsTheMetric) {
  FitCallbacks callbacks = FitCallbacks::Make(Watching("val_accuracy"), Layout()).value();
  callbacks.OnEpochEnd(0, {{"val_accuracy", 0.5}});
  callbacks.OnEpochEnd(1, {{"val_accuracy", 0.6}});
  EXPECT_EQ(callbacks.decisions().best, 2);
}

TEST(FitCallbacks, AutoIsRefusedForAMetricThatDoesNotSay) {
  const auto made = FitCallbacks::Make(Watching("val_false_positives"), Layout());
  EXPECT_THAT(made.status().message(), HasSubstr("spec.fit.earlyStopping"));
  EXPECT_THAT(made.status().message(), HasSubstr("set mode to max or min"));
  EXPECT_TRUE(
      FitCallbacks::Make(Watching("val_false_positives", MonitorMode::kMin), Layout()).ok());
}

TEST(FitCallbacks, AScheduleCannotBeReduced) {
  const json schedule{
      {"class_name", "ExponentialDecay"},
      {"config", {{"initial_learning_rate", 0.1}, {"decay_steps", 10}, {"decay_rate", 0.5}}}};
  const auto made = FitCallbacks::Make(Watching("loss"), Layout(schedule));
  EXPECT_THAT(made.status().message(), HasSubstr("reduceLROnPlateau"));
}

TEST(FitCallbacks, AMissingValueIsToldAndDecidesNothing) {
  FitCallbacks callbacks = FitCallbacks::Make(Watching("val_loss"), Layout()).value();
  const auto events = callbacks.OnEpochEnd(0, {{"loss", 1.0}});
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].reason, "MonitorMissing");
  EXPECT_TRUE(callbacks.decisions().empty());
}

TEST(FitCallbacks, TheLearningRateOfAnEpochIsTheOneItHad) {
  JobSpec spec = Watching("loss");
  spec.fit.early_stopping.reset();
  spec.fit.reduce_lr->patience = 1;
  spec.fit.reduce_lr->factor = 0.5;
  FitCallbacks callbacks = FitCallbacks::Make(spec, Layout()).value();
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) callbacks.OnEpochEnd(epoch, {{"loss", 1.0}});
  EXPECT_THAT(callbacks.learning_rates(), testing::ElementsAre(0.5, 0.5, 0.25));
}

TEST(FitCallbacks, AStateThatIsNoneIsRefused) {
  FitCallbacks callbacks = FitCallbacks::Make(Watching("loss"), Layout()).value();
  for (const char* text :
       {R"([])", R"({"earlyStopping": {}})", R"({"stoppedAfter": 0})", R"({"learningRates": 3})",
        R"({"more": 1})", R"({"modelCheckpoint": {"best": "x", "bestLearningRate": null}})",
        R"({"reduceLROnPlateau": {"wait": -1, "cooldown": 0, "best": 1,
                               "learningRate": 1}})"}) {
    EXPECT_FALSE(callbacks.SetState(json::parse(text)).ok()) << text;
  }
}

}  // namespace
}  // namespace elephas
