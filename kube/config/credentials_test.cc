#include "kube/config/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/atomic_file.h"
#include "common/base/testing/fake_clock.h"

namespace elephas::kube {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class CredentialsTest : public testing::Test {
 public:
  ~CredentialsTest() override { std::filesystem::remove(file_); }

 protected:
  void Write(const std::string& text) { ASSERT_TRUE(WriteWholeFile(file_, text).ok()); }
  static ExecPlugin Shell(const std::string& script) {
    return {.api_version = "client.authentication.k8s.io/v1",
            .command = "sh",
            .args = {"-c", script},
            .env = {},
            .install_hint = ""};
  }

  const std::string file_ = testing::TempDir() + "/elephas_credentials_" +
                            testing::UnitTest::GetInstance()->current_test_info()->name();
  FakeClock clock_;
};

TEST_F(CredentialsTest, ATokenAPasswordOrNothing) {
  RestConfig config;
  EXPECT_EQ(*Credentials(config, clock_).Authorization(), "");
  config.username = "jane";
  config.password = "p";
  EXPECT_EQ(*Credentials(config, clock_).Authorization(), "Basic amFuZTpw");
  config.token = "t";
  Credentials token(config, clock_);
  EXPECT_EQ(*token.Authorization(), "Bearer t");
  EXPECT_FALSE(token.Rejected("Bearer t"));
}

TEST_F(CredentialsTest, ATokenFileIsReadAgainEveryMinute) {
  RestConfig config;
  config.token_file = file_;
  Credentials credentials(config, clock_);
  EXPECT_EQ(credentials.Authorization().status().code(), Code::kUnauthorized);
  Write("first\n");
  EXPECT_EQ(*credentials.Authorization(), "Bearer first");
  Write("second\n");
  clock_.Advance(seconds(59));
  EXPECT_EQ(*credentials.Authorization(), "Bearer first");
  clock_.Advance(seconds(1));
  EXPECT_EQ(*credentials.Authorization(), "Bearer second");
  std::filesystem::remove(file_);
  clock_.Advance(seconds(60));
  EXPECT_EQ(*credentials.Authorization(), "Bearer second");  // the last one serves
}

TEST_F(CredentialsTest, ARejectedTokenIsWorthAnotherTryOnlyIfTheFileHasANewOne) {
  RestConfig config;
  config.token_file = file_;
  Credentials credentials(config, clock_);
  Write("first");
  ASSERT_TRUE(credentials.Authorization().ok());
  EXPECT_FALSE(credentials.Rejected("Bearer first"));
  Write("second");
  EXPECT_TRUE(credentials.Rejected("Bearer first"));
  EXPECT_EQ(*credentials.Authorization(), "Bearer second");
  EXPECT_TRUE(credentials.Rejected("Bearer first"));  // of a request that was under way
}

TEST_F(CredentialsTest, APluginIsAskedAgainWhenItsTokenExpires) {
  Write("0");
  RestConfig config;
  config.exec =
      Shell("n=$(($(cat " + file_ + ")+1)); echo $n >" + file_ +
            R"(; printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",)"
            R"("status":{"token":"t%s","expirationTimestamp":"2023-11-14T22:14:20Z"}}' $n)");
  Credentials credentials(config, clock_);
  const auto first = credentials.Authorization();
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_EQ(*first, "Bearer t1");
  clock_.Advance(seconds(49));
  EXPECT_EQ(*credentials.Authorization(), "Bearer t1");
  clock_.Advance(seconds(1));  // ten seconds before it expires
  EXPECT_EQ(*credentials.Authorization(), "Bearer t2");
  EXPECT_TRUE(credentials.Rejected("Bearer t2"));
  EXPECT_EQ(*credentials.Authorization(), "Bearer t3");
}

TEST_F(CredentialsTest, APluginSeesItsEnvironmentAndWhatIsAskedOfIt) {
  ExecPlugin plugin =
      Shell(R"(case "$KUBERNETES_EXEC_INFO" in *ExecCredential*) ;; *) exit 9;; esac; )"
            R"(printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",)"
            R"("status":{"token":"%s"}}' "$WHO")");
  plugin.env = {{"WHO", "jane"}};
  const auto credential = RunExecPlugin(plugin, seconds(60));
  ASSERT_TRUE(credential.ok()) << credential.status().message();
  EXPECT_EQ(credential->token, "jane");
}

TEST_F(CredentialsTest, PluginsThatFailSayHow) {
  ExecPlugin missing = Shell("");
  missing.command = "elephas-no-such-plugin";
  missing.install_hint = "install it from here";
  const Status status = RunExecPlugin(missing, seconds(60)).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("install it from here"));
  EXPECT_THAT(RunExecPlugin(Shell("exit 3"), seconds(60)).status().message(),
              HasSubstr("exit code 3"));
  EXPECT_THAT(RunExecPlugin(Shell("kill -9 $$"), seconds(60)).status().message(),
              HasSubstr("signal 9"));
  EXPECT_THAT(RunExecPlugin(Shell("echo hello"), seconds(60)).status().message(),
              HasSubstr("not JSON"));
  EXPECT_EQ(RunExecPlugin(Shell("exec sleep 600"), std::chrono::milliseconds(50)).status().code(),
            Code::kTimeout);
}

struct ExecCase {
  const char* name;
  const char* text;
  const char* message;
};
class ExecCredentialTest : public testing::TestWithParam<ExecCase> {};

TEST_P(ExecCredentialTest, IsRefused) {
  const auto credential = ParseExecCredential(GetParam().text, "client.authentication.k8s.io/v1");
  EXPECT_EQ(credential.status().code(), Code::kInvalid);
  EXPECT_THAT(credential.status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    , ExecCredentialTest,
    testing::Values(
        ExecCase{"AnotherKind", R"({"kind":"Pod"})", "no ExecCredential"},
        ExecCase{"AnotherVersion",
                 R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1"})",
                 "v1beta1"},
        ExecCase{"Nothing",
                 R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"})",
                 "neither a token"},
        ExecCase{"ATimeThatIsNone",
                 R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",)"
                 R"("status":{"token":"t","expirationTimestamp":"tomorrow"}})",
                 "is no time"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace elephas::kube
