#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/atomic_file.h"
#include "common/base/base64.h"
#include "kube/config/rest_config.h"

namespace elephas::kube {
namespace {

using testing::HasSubstr;

constexpr const char* kTwoContexts = R"(
apiVersion: v1
kind: Config
current-context: dev
contexts:
- {name: dev, context: {cluster: one, user: jane, namespace: team}}
- {name: prod, context: {cluster: two, user: robot}}
clusters:
- {name: one, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Q0E=}}
- {name: two, cluster: {server: "https://[fd00::1]:6443", insecure-skip-tls-verify: true}}
users:
- {name: jane, user: {token: secret}}
- name: robot
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
)";

Result<RestConfig> Resolve(const std::string& text, const KubeconfigOptions& options = {}) {
  return ResolveKubeconfig({{"config", text}}, options);
}

TEST(KubeconfigTest, TheCurrentContextIsTaken) {
  const auto config = Resolve(kTwoContexts);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->server, "https://127.0.0.1:6443");
  EXPECT_EQ(config->ca_pem, "CA");
  EXPECT_EQ(config->token, "secret");
  EXPECT_EQ(config->ns, "team");
  EXPECT_FALSE(config->insecure);
}

TEST(KubeconfigTest, AnotherContextMayBeNamed) {
  const auto config = Resolve(kTwoContexts, {.context = "prod"});
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->server, "https://[fd00::1]:6443");
  EXPECT_EQ(config->client_cert_pem, "CERT");
  EXPECT_EQ(config->client_key_pem, "KEY");
  EXPECT_EQ(config->ns, "default");
  EXPECT_TRUE(config->insecure);
}

TEST(KubeconfigTest, ClusterUserAndNamespaceMayBeReplaced) {
  const auto config = Resolve(kTwoContexts, {.cluster = "two", .user = "jane", .ns = "other"});
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->server, "https://[fd00::1]:6443");
  EXPECT_EQ(config->token, "secret");
  EXPECT_EQ(config->ns, "other");
}

TEST(KubeconfigTest, TheFirstFileToNameSomethingWins) {
  const auto config =
      ResolveKubeconfig({{"a", "current-context: dev\nusers: [{name: jane, user: {token: first}}]"},
                         {"b", ""},
                         {"c", std::string(kTwoContexts)}},
                        {});
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->token, "first");
  EXPECT_EQ(config->server, "https://127.0.0.1:6443");
}

struct UserCase {
  const char* name;
  const char* user;     // YAML of users[].user
  const char* message;  // of the refusal
};
class KubeconfigRefusalTest : public testing::TestWithParam<UserCase> {};

std::string WithUser(const std::string& user) {
  return "current-context: c\n"
         "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
         "clusters: [{name: k, cluster: {server: 'https://h'}}]\n"
         "users:\n- name: u\n  user: " +
         user + "\n";
}

TEST_P(KubeconfigRefusalTest, NamesTheFieldAndItsLine) {
  const auto config = Resolve(WithUser(GetParam().user));
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().code(), Code::kInvalid);
  EXPECT_EQ(config.status().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    , KubeconfigRefusalTest,
    testing::Values(
        UserCase{
            "ACertificateWithoutItsKey", "{client-certificate-data: QQ==}",
            "config:6: users[u].user: a client certificate and its key belong together; one is "
            "missing"},
        UserCase{"SomethingThatIsNotBase64", "{client-key-data: '*'}",
                 "config:6: users[u].user.client-key-data: is not base64"},
        UserCase{"ATokenThatIsAList", "{token: [a]}",
                 "config:6: users[u].user.token: must be text"},
        UserCase{"TokenAndUsername", "{token: a, username: b, password: c}",
                 "config:6: users[u].user: a token and a username exclude each other"},
        UserCase{
            "AuthProvider", "{auth-provider: {name: gcp}}",
            "config:6: users[u].user.auth-provider: auth-provider is not supported; kubectl has "
            "dropped it for exec"},
        UserCase{"AnOldExecPlugin",
                 "{exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}}",
                 "config:6: users[u].user.exec.apiVersion: must be "
                 "client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1"},
        UserCase{"AnExecPluginWithoutCommand",
                 "{exec: {apiVersion: client.authentication.k8s.io/v1}}",
                 "config:6: users[u].user.exec.command: is missing"}),
    [](const auto& row) { return row.param.name; });

struct TextCase {
  const char* name;
  const char* text;
  Code code;
  const char* message;
};
class KubeconfigTextTest : public testing::TestWithParam<TextCase> {};

TEST_P(KubeconfigTextTest, IsRefused) {
  const auto config = Resolve(GetParam().text);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().code(), GetParam().code);
  EXPECT_THAT(config.status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    , KubeconfigTextTest,
    testing::Values(
        TextCase{"NotYaml", "a: [", Code::kInvalid, "config:"},
        TextCase{"AList", "- a", Code::kInvalid, "must be a mapping"},
        TextCase{"AnotherKind", "kind: Pod", Code::kInvalid, "config:1: kind: must be Config"},
        TextCase{"NoContext", "kind: Config", Code::kNotFound, "no context"},
        TextCase{"AContextThatDoesNotExist", "current-context: x", Code::kNotFound,
                 "context \"x\" does not exist"},
        TextCase{"AClusterThatDoesNotExist",
                 "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]",
                 Code::kNotFound, "cluster \"k\" does not exist"},
        TextCase{"ClustersThatAreNoList", "current-context: c\ncontexts: {c: d}", Code::kInvalid,
                 "config:2: contexts: must be a list"},
        TextCase{"AServerThatIsMissing",
                 "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                 "clusters: [{name: k, cluster: {}}]",
                 Code::kInvalid, "clusters[k].cluster.server: is missing"},
        TextCase{"AnotherScheme",
                 "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                 "clusters: [{name: k, cluster: {server: 'ftp://h'}}]",
                 Code::kInvalid, "must begin with https://"},
        TextCase{"InsecureThatIsText",
                 "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                 "clusters: [{name: k, cluster: {server: h, insecure-skip-tls-verify: maybe}}]",
                 Code::kInvalid, "must be true or false"},
        TextCase{"InsecureWithAnAuthority",
                 "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                 "clusters: [{name: k, cluster: {server: h, insecure-skip-tls-verify: true,\n"
                 "  certificate-authority-data: QQ==}}]",
                 Code::kInvalid, "exclude each other"},
        TextCase{"AProxy",
                 "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                 "clusters: [{name: k, cluster: {server: h, proxy-url: 'http://p'}}]",
                 Code::kInvalid, "proxy-url: proxies are not supported"},
        TextCase{"AnAuthorityFileThatIsMissing",
                 "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                 "clusters: [{name: k, cluster: {server: h, certificate-authority: nowhere.crt}}]",
                 Code::kInvalid, "nowhere.crt"}),
    [](const auto& row) { return row.param.name; });

TEST(KubeconfigTest, UsersMayHaveATokenFileAPasswordOrAPlugin) {
  auto config = Resolve(WithUser("{token: old, tokenFile: /run/token}"));
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->token_file, "/run/token");
  EXPECT_EQ(config->token, "");
  config = Resolve(WithUser("{username: jane, password: p}"));
  EXPECT_EQ(config->password, "p");
  config = Resolve(
      WithUser("{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, args: [a, "
               "'1'], env: [{name: A, value: b}], installHint: get it}}"));
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_TRUE(config->exec.has_value());
  EXPECT_EQ(config->exec->args, (std::vector<std::string>{"a", "1"}));
  EXPECT_EQ(config->exec->env.at(0), (std::pair<std::string, std::string>("A", "b")));
  config = Resolve(WithUser("{as: admin, as-uid: u, as-groups: [a, b]}"));
  EXPECT_EQ(config->impersonate_user, "admin");
  EXPECT_EQ(config->impersonate_groups, (std::vector<std::string>{"a", "b"}));
}

class KubeconfigFilesTest : public testing::Test {
 public:
  ~KubeconfigFilesTest() override { std::filesystem::remove_all(folder_); }

 protected:
  KubeconfigFilesTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ + "/.kube");
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteWholeFile(folder_ + "/" + name, text).ok());
  }
  Result<RestConfig> Load(const KubeconfigOptions& options = {}) {
    return LoadKubeconfig(options, [this](const char* name) {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::string() : found->second;
    });
  }

  const std::string folder_ = testing::TempDir() + "/elephas_kubeconfig_" +
                              testing::UnitTest::GetInstance()->current_test_info()->name();
  std::map<std::string, std::string> environment_{{"HOME", folder_}};
};

TEST_F(KubeconfigFilesTest, HomeIsLookedAtWhenNothingElseIsSaid) {
  Write(".kube/config", kTwoContexts);
  EXPECT_EQ(Load()->token, "secret");
}

TEST_F(KubeconfigFilesTest, KubeconfigNamesSeveralAndMissingOnesAreSkipped) {
  Write("a", "current-context: prod");
  Write("b", kTwoContexts);
  environment_["KUBECONFIG"] = folder_ + "/none:" + folder_ + "/a::" + folder_ + "/b";
  const auto config = Load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->client_key_pem, "KEY");
}

TEST_F(KubeconfigFilesTest, TheOptionIsTheOnlyFileAndMustBeThere) {
  Write(".kube/config", kTwoContexts);
  EXPECT_EQ(Load({.path = folder_ + "/none"}).status().code(), Code::kNotFound);
}

TEST_F(KubeconfigFilesTest, FilesInItStartAtItsFolder) {
  Write(".kube/ca.crt", "THE CA");
  Write(".kube/config",
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: h, certificate-authority: ca.crt}}]\n"
        "users: [{name: u, user: {tokenFile: token}}]\n");
  const auto config = Load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->ca_pem, "THE CA");
  EXPECT_EQ(config->token_file, folder_ + "/.kube/token");
  EXPECT_EQ(config->server, "https://h");
}

TEST_F(KubeconfigFilesTest, WithoutAnyTheMessageSaysWhereItLooked) {
  const auto config = Load();
  EXPECT_EQ(config.status().code(), Code::kNotFound);
  EXPECT_THAT(config.status().message(), HasSubstr(folder_ + "/.kube/config"));
}

TEST_F(KubeconfigFilesTest, APodsOwnAccount) {
  EXPECT_EQ(InClusterConfig([](const char*) { return std::string(); }, folder_).status().code(),
            Code::kNotFound);
  environment_["KUBERNETES_SERVICE_HOST"] = "fd00::1";
  environment_["KUBERNETES_SERVICE_PORT"] = "443";
  const auto environment = [this](const char* name) { return environment_[name]; };
  EXPECT_THAT(InClusterConfig(environment, folder_).status().message(),
              HasSubstr("service account"));
  Write("ca.crt", "CA");
  Write("token", "t");
  Write("namespace", "team\n");
  const auto config = InClusterConfig(environment, folder_);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->server, "https://kubernetes.default.svc:443");  // of an IPv6 cluster
  EXPECT_EQ(config->token_file, folder_ + "/token");
  EXPECT_EQ(config->ns, "team");
}

TEST(Base64Test, GoesBothWays) {
  for (const std::string text : {"", "f", "fo", "foo", "foob", "\xFF\x00\x7F"}) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(text)), text);
  }
  EXPECT_EQ(EncodeBase64("fo"), "Zm8=");
  EXPECT_EQ(DecodeBase64("Zm\n8="), "fo");
  for (const char* wrong : {"Zm8", "Zm8=x", "Z===", "Z*8=", "=Zm8"}) {
    EXPECT_EQ(DecodeBase64(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace elephas::kube
