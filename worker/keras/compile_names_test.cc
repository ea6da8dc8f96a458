// The names that a manifest may use (common/manifest/compile_names.h) are those that the worker's own tables
// hold, with the same spellings: neither judge knows a loss or a metric that the other does not.
#include "common/manifest/compile_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "worker/keras/losses/loss.h"
#include "worker/keras/metrics/metric.h"

namespace elephas::keras {
namespace {

std::vector<std::string> Rows(std::span<const CompileName> names) {
  std::vector<std::string> rows;
  for (const CompileName& name : names) {
    rows.push_back(std::string(name.class_name) + " " + std::string(name.function) + " " +
                   std::string(name.short_name));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

TEST(CompileNames, LossesAreThoseOfTheWorker) {
  std::vector<CompileName> known;
  for (const auto family : LossFamilies()) {
    for (const LossEntry& entry : family) {
      known.push_back({entry.class_name, entry.function, entry.short_name});
    }
  }
  EXPECT_EQ(Rows(LossNames()), Rows(known));
  for (const std::string& spelling : Spellings(LossNames())) {
    EXPECT_NE(FindLoss(spelling), nullptr) << spelling;
  }
}

TEST(CompileNames, MetricsAreThoseOfTheWorker) {
  std::vector<CompileName> known;
  for (const auto family : MetricFamilies()) {
    for (const MetricEntry& entry : family) {
      known.push_back({entry.class_name, entry.name, entry.short_name});
    }
  }
  EXPECT_EQ(Rows(MetricNames()), Rows(known));
  for (const std::string& spelling : Spellings(MetricNames())) {
    EXPECT_NE(FindMetric(spelling), nullptr) << spelling;
  }
}

}  // namespace
}  // namespace elephas::keras
