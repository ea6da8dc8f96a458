#include "common/protocol/metric_values.h"

#include <gtest/gtest.h>

namespace elephas {
namespace {

double Value(const std::string& kind, const std::vector<double>& values) {
  const Result<double> value = StatefulMetricValue(kind, values);
  EXPECT_TRUE(value.ok()) << kind;
  return value.ok() ? *value : -1;
}

TEST(MetricsTest, ValuesFollowTheirFormulas) {
  EXPECT_DOUBLE_EQ(Value("root_mean", {9, 4}), 1.5);
  EXPECT_DOUBLE_EQ(Value("sum", {7}), 7);
  EXPECT_DOUBLE_EQ(Value("share", {3, 1}), 0.75);
  EXPECT_DOUBLE_EQ(Value("share", {0, 0}), 0);
  // Three thresholds of a perfect classifier: area one.
  EXPECT_DOUBLE_EQ(Value("auc:ROC:interpolation:3", {2, 2, 0, 2, 0, 0, 0, 2, 2, 0, 0, 2}), 1.0);
  EXPECT_DOUBLE_EQ(Value("best:recall:specificity:0.5:2", {4, 2, 2, 0, 0, 2, 0, 2}), 0.5);
  EXPECT_NEAR(Value("iou:0,1", {3, 1, 1, 3}), 0.6, 1e-6);
  EXPECT_NEAR(Value("fbeta:micro:1.0", {2, 2, 2, 4}), 0.5, 1e-6);
  EXPECT_DOUBLE_EQ(Value("r2:uniform_average:0", {4, 10, 30, 0, 4}), 1.0);
  // Residuals of 1 against a total of 5; with one regressor 1 - 0.2 * 3 / 2.
  EXPECT_DOUBLE_EQ(Value("r2:uniform_average:0", {4, 10, 30, 1, 4}), 0.8);
  EXPECT_DOUBLE_EQ(Value("r2:uniform_average:1", {4, 10, 30, 1, 4}), 0.7);
}

TEST(MetricsTest, PartsAddUpToTheWhole) {
  const std::vector<double> a{1, 1, 0, 2, 1, 0, 0, 1, 2, 0, 0, 1};
  const std::vector<double> b{3, 2, 1, 1, 0, 0, 0, 1, 1, 0, 1, 2};
  std::vector<double> sum(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) sum[i] = a[i] + b[i];
  const double value = Value("auc:PR:interpolation:3", sum);
  EXPECT_GT(value, 0.5);
  EXPECT_LT(value, 1.0);
}

TEST(MetricsTest, UnknownKindsAndWrongLengthsAreRefused) {
  const std::vector<std::pair<std::string, std::vector<double>>> bad{
      {"median", {1}},
      {"share", {1, 2, 3}},
      {"auc:ROC:interpolation:0", {}},
      {"auc:ROC:interpolation:9999999999", {1, 2, 3, 4}},
      {"auc:XYZ:interpolation:1", {1, 2, 3, 4}},
      {"auc:ROC", {1, 2, 3, 4}},
      {"best:recall:luck:0.5:1", {1, 2, 3, 4}},
      {"best:recall:precision:x:1", {1, 2, 3, 4}},
      {"fbeta:micro:1.0", {1, 2, 3}},
      {"iou:5", {1, 2, 3, 4}},
      {"iou:0", {1, 2, 3}},
      {"r2:uniform_average:0", {1, 2}},
      {"", {}},
  };
  for (const auto& [kind, values] : bad) {
    EXPECT_EQ(StatefulMetricValue(kind, values).status().code(), Code::kInvalid) << kind;
  }
}

}  // namespace
}  // namespace elephas
