#include "cli/terminal/progress_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace elephas::cli {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

json Running() {
  return {{"state", "Running"},
          {"task", "train"},
          {"epoch", 2},
          {"epochs", 10},
          {"examples", 812},
          {"examplesPerEpoch", 1437},
          {"progress", 0.25},
          {"examplesPerSecond", 24310.4},
          {"secondsRemaining", 1.2},
          {"metrics", {{"accuracy", 0.96123}, {"loss", 0.12341}}},
          {"history", {{"loss", {0.5, 0.3}}}}};
}

TEST(ProgressLineTest, ShowsTheOpenEpoch) {
  EXPECT_EQ(ProgressLine(Running(), 120, false),
            "Epoch 3/10 [===========>        ] 812/1,437  loss 0.1234 accuracy 0.9612  24,310 "
            "examples/s  "
            "2 s left");
}

TEST(ProgressLineTest, LeavesOutWhatDoesNotFit) {
  const std::pair<std::size_t, std::string> rows[] = {
      {95,
       "Epoch 3/10 [=====>    ] 812/1,437  loss 0.1234 accuracy 0.9612  24,310 examples/s  2 s "
       "left"},
      {80, "Epoch 3/10 [=====>    ] 812/1,437  loss 0.1234 accuracy 0.9612  2 s left"},
      {65, "Epoch 3/10 [=====>    ] 812/1,437  loss 0.1234 accuracy 0.9612"},
      {50, "Epoch 3/10 812/1,437  loss 0.1234 accuracy 0.9612"},
      {40, "Epoch 3/10  loss 0.1234 accuracy 0.9612"},
      {30, "Epoch 3/10  loss 0.1234"},
      {12, "Epoch 3/10"},
      {5, "Epoch"},
      {1, "E"},
      {0, ""},
  };
  for (const auto& [width, line] : rows)
    EXPECT_EQ(ProgressLine(Running(), width, false), line) << width;
}

TEST(ProgressLineTest, IsNeverWiderThanTheTerminal) {
  json status = Running();
  status["metrics"]["précision_ß"] = 1e-9;
  for (std::size_t width = 0; width < 200; ++width) {
    EXPECT_LE(DisplayWidth(ProgressLine(status, width, false)), width);
  }
}

TEST(ProgressLineTest, ColourChangesNothingElse) {
  std::string coloured = ProgressLine(Running(), 120, true);
  EXPECT_NE(coloured.find('\x1b'), std::string::npos);
  for (std::size_t at = 0; (at = coloured.find('\x1b')) != std::string::npos;) {
    coloured.erase(at, coloured.find('m', at) + 1 - at);
  }
  EXPECT_EQ(coloured, ProgressLine(Running(), 120, false));
  EXPECT_EQ(ProgressLine(Running(), 120, false).find('\x1b'), std::string::npos);
}

TEST(ProgressLineTest, NamesTheOtherStatesAndTasks) {
  json status = Running();
  status["state"] = "Initializing";
  EXPECT_EQ(ProgressLine(status, 80, false), "Starting: workers load model and data");
  status["state"] = "Finalizing";
  EXPECT_EQ(ProgressLine(status, 80, false), "Writing the results");
  status["state"] = "Running";
  status["task"] = "predict";
  status["metrics"] = json::object();
  status["secondsRemaining"] = nullptr;
  EXPECT_EQ(ProgressLine(status, 80, false),
            "Predicting [===========>        ] 812/1,437  24,310 examples/s");
  status["task"] = "evaluate";
  EXPECT_THAT(ProgressLine(status, 80, false), ::testing::StartsWith("Evaluating ["));
}

TEST(ProgressLineTest, AFinishedEpochFillsTheBar) {
  json status = Running();
  status["examples"] = 1437;
  EXPECT_THAT(ProgressLine(status, 80, false), ::testing::HasSubstr("[==========]"));
  status["epoch"] = 10;  // all are done, none is open
  EXPECT_THAT(ProgressLine(status, 60, false), ::testing::StartsWith("Epoch 10/10 "));
}

TEST(ProgressLineTest, AStatusOfAnyShapeIsShownSomehow) {
  for (const char* text : {"null", "[]", "{}", R"({"state":"Running"})",
                           R"({"state":"Running","metrics":[1],"epoch":"x","examplesPerEpoch":0})",
                           R"({"state":7,"metrics":{"loss":null}})"}) {
    EXPECT_LE(DisplayWidth(ProgressLine(json::parse(text), 40, false)), 40U) << text;
  }
}

TEST(ProgressLineTest, NamesOfAModelCannotMoveTheCursor) {
  json status = Running();
  status["metrics"] = {{"lo\x1b[2Jss\r", 1.0}};
  EXPECT_EQ(ProgressLine(status, 120, false).find('\x1b'), std::string::npos);
}

TEST(Numbers, AreWrittenForPeople) {
  EXPECT_EQ(CountText(0), "0");
  EXPECT_EQ(CountText(999), "999");
  EXPECT_EQ(CountText(1000), "1,000");
  EXPECT_EQ(CountText(24310.4), "24,310");
  EXPECT_EQ(CountText(1234567), "1,234,567");
  EXPECT_EQ(CountText(-1234), "-1,234");
  EXPECT_EQ(MetricText(0.12345), "0.1235");
  EXPECT_EQ(MetricText(0), "0.0000");
  EXPECT_EQ(MetricText(0.00012345), "1.2345e-04");
  EXPECT_EQ(MetricText(nullptr), "nan");
  EXPECT_EQ(DurationText(0.44), "0.4 s");
  EXPECT_EQ(DurationText(9.96), "10 s");
  EXPECT_EQ(DurationText(59.6), "1 min 0 s");
  EXPECT_EQ(DurationText(200), "3 min 20 s");
  EXPECT_EQ(DurationText(7500), "2 h 05 min");
  EXPECT_EQ(DurationText(NAN), "?");
}

TEST(Metrics, ComeInReadingOrder) {
  EXPECT_THAT(
      MetricTexts({{"val_loss", 4}, {"val_accuracy", 3}, {"accuracy", 2}, {"loss", 1}, {"mae", 5}}),
      ElementsAre("loss 1.0000", "accuracy 2.0000", "mae 5.0000", "val_loss 4.0000",
                  "val_accuracy 3.0000"));
  EXPECT_THAT(MetricTexts(json()), IsEmpty());
}

json Finished(int epochs, const char* state = "Running") {
  json status{{"state", state}, {"epochs", 10}, {"history", json::object()}};
  for (int i = 1; i <= epochs; ++i) {
    status["history"]["loss"].push_back(1.0 / i);
    status["history"]["examples"].push_back(1437);
    status["history"]["seconds"].push_back(0.5);
  }
  return status;
}

std::vector<std::int64_t> Numbers(const std::vector<FinishedEpoch>& epochs) {
  std::vector<std::int64_t> numbers;
  for (const FinishedEpoch& epoch : epochs) numbers.push_back(epoch.number);
  return numbers;
}

TEST(EpochLogTest, ReportsEachEpochOnce) {
  EpochLog log;
  EXPECT_THAT(log.Take(Finished(0)), IsEmpty());
  const auto first = log.Take(Finished(2));
  EXPECT_THAT(Numbers(first), ElementsAre(1, 2));
  EXPECT_EQ(EpochLine(first[1]), "Epoch 2/10  1,437 examples in 0.5 s  loss 0.5000");
  EXPECT_THAT(log.Take(Finished(2)), IsEmpty());
  EXPECT_THAT(Numbers(log.Take(Finished(3))), ElementsAre(3));
}

TEST(EpochLogTest, ReportsRepeatedEpochsAgain) {
  EpochLog log;
  log.Take(Finished(5));
  EXPECT_THAT(log.Take(Finished(0, "Initializing")), IsEmpty());
  EXPECT_THAT(log.Take(Finished(3)), IsEmpty());
  EXPECT_THAT(Numbers(log.Take(Finished(5))), ElementsAre(4, 5));
}

TEST(EpochLogTest, AServerThatIsStartingHasForgottenNothing) {
  EpochLog log;
  log.Take(Finished(5));
  log.Take(Finished(0, "Initializing"));
  EXPECT_THAT(Numbers(log.Take(Finished(6))), ElementsAre(6));
}

TEST(FinalMetricsTest, AreTheLastEpochsOrTheEvaluations) {
  EXPECT_EQ(FinalMetrics(Finished(4)), json({{"loss", 0.25}}));
  EXPECT_EQ(FinalMetrics({{"result", {{"metrics", {{"accuracy", 0.9}}}}}}),
            json({{"accuracy", 0.9}}));
  EXPECT_EQ(FinalMetrics(json()), json::object());
}

}  // namespace
}  // namespace elephas::cli
