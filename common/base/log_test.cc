#include "common/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

namespace elephas {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

class LogTest : public testing::Test {
 public:
  ~LogTest() override { EXPECT_TRUE(InitLog({}).ok()); }

 protected:
  static std::string Written(const std::function<void()>& write) {
    testing::internal::CaptureStderr();
    write();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, WritesOneReadableLinePerEvent) {
  ASSERT_TRUE(InitLog({.role = "worker", .job = "digits", .format = "text"}).ok());
  const std::string line = Written(
      [] { LogInfo("epoch done", {{"epoch", 3}, {"loss", 0.5}, {"task", "train epoch 3"}}); });
  EXPECT_THAT(line, EndsWith("Z INFO worker: epoch done job=digits epoch=3 loss=0.500000 "
                             "task=\"train epoch 3\"\n"));
}

TEST_F(LogTest, WritesJsonThatParses) {
  ASSERT_TRUE(InitLog({.role = "worker", .job = "digits", .format = "json"}).ok());
  const std::string line = Written([] {
    LogError("bad \"thing\" {}", {{"epoch", std::int64_t{-1}},
                                  {"loss", std::numeric_limits<double>::quiet_NaN()},
                                  {"message", "two\nlines \xff"}});
  });
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["level"], "error");
  EXPECT_EQ(json["event"], "bad \"thing\" {}");
  EXPECT_EQ(json["epoch"], -1);
  EXPECT_EQ(json["loss"], "nan");
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST_F(LogTest, KeepsALineInOnePieceWhateverTheValueHolds) {
  ASSERT_TRUE(InitLog({.format = "text"}).ok());
  const std::string line =
      Written([] { LogInfo("x", {{"message", "a\nb=\"c\""}, {"empty", ""}}); });
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_THAT(line, HasSubstr("message=\"a\\nb=\\\"c\\\"\" empty=\"\""));
}

TEST_F(LogTest, HidesSecrets) {
  for (const char* format : {"text", "json"}) {
    ASSERT_TRUE(InitLog({.format = format}).ok());
    EXPECT_THAT(Written([] { LogInfo("x", {{"bearer_token", "hunter2"}}); }),
                Not(HasSubstr("hunter2")));
  }
}

TEST_F(LogTest, LeavesOutWhatIsBelowTheLevel) {
  ASSERT_TRUE(InitLog({.level = "warning"}).ok());
  EXPECT_EQ(Written([] { LogInfo("quiet"); }), "");
  EXPECT_THAT(Written([] { LogWarning("loud"); }), HasSubstr("loud"));
  ASSERT_TRUE(InitLog({.level = "off"}).ok());
  EXPECT_EQ(Written([] { LogError("quiet"); }), "");
}

TEST_F(LogTest, TakesFormatAndLevelFromTheEnvironment) {
  ::setenv("ELEPHAS_LOG_FORMAT", "json", 1);
  ::setenv("ELEPHAS_LOG_LEVEL", "debug", 1);
  EXPECT_TRUE(InitLog({}).ok());
  EXPECT_THAT(Written([] { LogDebug("seen"); }), HasSubstr("\"event\":\"seen\""));
  ::unsetenv("ELEPHAS_LOG_FORMAT");
  ::unsetenv("ELEPHAS_LOG_LEVEL");
}

TEST_F(LogTest, RefusesAWordItDoesNotKnow) {
  EXPECT_EQ(InitLog({.format = "xml"}).code(), Code::kInvalid);
  EXPECT_EQ(InitLog({.level = "loud"}).code(), Code::kInvalid);
}

}  // namespace
}  // namespace elephas
