#include "worker/keras/weights/initializer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace elephas::keras {
namespace {

using nlohmann::json;

std::vector<float> Draw(const json& config, const Shape& shape, std::uint64_t seed = 1) {
  Result<Initializer> initializer = ParseInitializer(config, "zeros", "test");
  EXPECT_TRUE(initializer.ok()) << initializer.status().message();
  std::int64_t size = 1;
  for (const std::int64_t extent : shape) size *= extent;
  std::vector<float> values(static_cast<std::size_t>(size));
  if (initializer.ok()) (*initializer)(shape, seed, values);
  return values;
}

double Mean(const std::vector<float>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}
double Deviation(const std::vector<float>& v) {
  const double mean = Mean(v);
  double sum = 0;
  for (const float x : v) sum += (x - mean) * (x - mean);
  return std::sqrt(sum / static_cast<double>(v.size()));
}

struct Case {
  const char* name;
  double deviation, limit;  // limit: no value is larger
};

TEST(InitializerTest, DistributionsHaveKerasSpread) {
  const Shape shape{200, 300};
  const std::vector<Case> cases{
      {"glorot_uniform", std::sqrt(2.0 / 500), std::sqrt(6.0 / 500)},
      {"glorot_normal", std::sqrt(2.0 / 500), 2 * std::sqrt(2.0 / 500) / 0.8796},
      {"he_uniform", std::sqrt(2.0 / 200), std::sqrt(6.0 / 200)},
      {"he_normal", std::sqrt(2.0 / 200), 2 * std::sqrt(2.0 / 200) / 0.8796},
      {"lecun_uniform", std::sqrt(1.0 / 200), std::sqrt(3.0 / 200)},
      {"lecun_normal", std::sqrt(1.0 / 200), 2 * std::sqrt(1.0 / 200) / 0.8796},
      {"random_normal", 0.05, 1.0},
      {"random_uniform", 0.1 / std::sqrt(12.0), 0.05},
      {"truncated_normal", 0.05 * 0.8796, 0.1},
  };
  for (const Case& c : cases) {
    const std::vector<float> values = Draw(c.name, shape);
    EXPECT_NEAR(Mean(values), 0.0, 0.02 * c.deviation + 1e-4) << c.name;
    EXPECT_NEAR(Deviation(values), c.deviation, 0.02 * c.deviation) << c.name;
    for (const float value : values) ASSERT_LE(std::abs(value), c.limit * 1.0001) << c.name;
  }
}

TEST(InitializerTest, FansOfConvolutionsCountTheWindow) {
  const std::vector<float> values = Draw("glorot_uniform", {3, 3, 20, 30});
  EXPECT_NEAR(Deviation(values), std::sqrt(2.0 / (9 * 50)), 0.05 * std::sqrt(2.0 / 450));
}

TEST(InitializerTest, OrthogonalMatricesAreOrthogonal) {
  for (const Shape& shape : {Shape{6, 4}, Shape{4, 6}, Shape{5, 5}}) {
    const std::vector<float> m = Draw("orthogonal", shape);
    const auto rows = static_cast<std::size_t>(shape[0]);
    const auto columns = static_cast<std::size_t>(shape[1]);
    const bool by_rows = rows <= columns;
    const std::size_t count = by_rows ? rows : columns;
    for (std::size_t a = 0; a < count; ++a) {
      for (std::size_t b = 0; b < count; ++b) {
        double dot = 0;
        for (std::size_t k = 0; k < (by_rows ? columns : rows); ++k) {
          dot += by_rows ? m[a * columns + k] * m[b * columns + k]
                         : m[k * columns + a] * m[k * columns + b];
        }
        EXPECT_NEAR(dot, a == b ? 1.0 : 0.0, 1e-5);
      }
    }
  }
}

TEST(InitializerTest, TheSameSeedGivesTheSameBits) {
  EXPECT_EQ(Draw("he_normal", {50, 7}, 3), Draw("he_normal", {50, 7}, 3));
  EXPECT_NE(Draw("he_normal", {50, 7}, 3), Draw("he_normal", {50, 7}, 4));
}

TEST(InitializerTest, ASeedOfItsOwnOverridesTheJobs) {
  const json config{{"class_name", "HeNormal"}, {"config", {{"seed", 5}}}};
  EXPECT_EQ(Draw(config, {9, 9}, 1), Draw(config, {9, 9}, 2));
}

TEST(InitializerTest, ConstantsAndIdentities) {
  EXPECT_EQ(Draw("ones", {2}), (std::vector<float>{1, 1}));
  EXPECT_EQ(Draw({{"class_name", "Constant"}, {"config", {{"value", 0.5}}}}, {2}),
            (std::vector<float>{0.5, 0.5}));
  EXPECT_EQ(Draw({{"class_name", "Identity"}, {"config", {{"gain", 2.0}}}}, {2, 3}),
            (std::vector<float>{2, 0, 0, 0, 2, 0}));
}

TEST(InitializerTest, UnknownNamesAndOptionsAreRefused) {
  EXPECT_NE(ParseInitializer("mine", "zeros", "here").status().message().find("mine"),
            std::string::npos);
  const json bad{{"class_name", "Constant"}, {"config", {{"valve", 1}}}};
  EXPECT_NE(ParseInitializer(bad, "zeros", "here").status().message().find("valve"),
            std::string::npos);
}

}  // namespace
}  // namespace elephas::keras
