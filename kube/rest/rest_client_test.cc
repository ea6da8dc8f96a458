#include "kube/rest/rest_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <latch>

#include "common/base/atomic_file.h"
#include "common/base/testing/fake_clock.h"
#include "kube/testing/fake_api_server.h"

namespace elephas::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

// Long enough for a slow machine under sanitizers; a test that waits for it has failed.
constexpr milliseconds kPatience{60'000};

json Named(const std::string& name, json rest = json::object()) {
  rest["metadata"]["namespace"] = "default";
  rest["metadata"]["name"] = name;
  return rest;
}

class RestClientTest : public testing::Test {
 protected:
  std::unique_ptr<Client> MakeClient(const RestConfig& config) {
    auto client = MakeRestClient(config);
    EXPECT_TRUE(client.ok()) << client.status().message();
    return client.ok() ? std::move(*client) : nullptr;
  }
  Result<json> GetPod(Client& client, milliseconds timeout = kPatience) {
    return client.Get(kPod, {"default", "p"}, {.timeout = timeout});
  }

  FakeClock clock_;
  FakeClient objects_{clock_};
};

TEST_F(RestClientTest, EveryCallReachesTheServerAndComesBack) {
  FakeApiServer server(objects_);
  const auto client = MakeClient(server.Config());

  const auto made = client->Create(kPod, Named("p", {{"spec", {{"x", 1}}}}));
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ((*made)["kind"], "Pod");
  EXPECT_EQ(server.last_request().query.at("fieldValidation"), "Strict");
  EXPECT_EQ(GetPod(*client)->at("spec").at("x"), 1);
  EXPECT_EQ(client->Create(kPod, Named("p")).status().code(), Code::kExists);

  json changed = *made;
  changed["spec"]["x"] = 2;
  EXPECT_TRUE(client->Update(kPod, changed).ok());
  EXPECT_EQ(client->Update(kPod, changed).status().code(), Code::kConflict);

  ASSERT_TRUE(client->Apply(kElephasJob, Named("j", {{"spec", {{"task", "train"}}}})).ok());
  EXPECT_EQ(server.last_request().Header("content-type"), "application/apply-patch+yaml");
  EXPECT_EQ(server.last_request().query.at("fieldManager"), "elephas-operator");
  ASSERT_TRUE(client->ApplyStatus(kElephasJob, Named("j", {{"status", {{"epoch", 1}}}})).ok());
  EXPECT_EQ(server.last_request().path,
            "/apis/elephas.dev/v1alpha1/namespaces/default/elephasjobs/j/status");

  const auto list = client->List(kPod, {.ns = "default", .label_selector = "app=elephas"});
  ASSERT_TRUE(list.ok());
  EXPECT_TRUE(list->items.empty());
  EXPECT_EQ(server.last_request().query.at("labelSelector"), "app=elephas");

  objects_.SetPodLog({"default", "p"}, "line 1\nline 2\n");
  std::string log;
  const auto keep = [&](std::string_view piece) {
    log += piece;
    return true;
  };
  EXPECT_TRUE(client->ReadPodLog({"default", "p"}, {.container = "worker"}, keep, {}).ok());
  EXPECT_EQ(log, "line 1\nline 2\n");

  EXPECT_EQ(client->Delete(kPod, {"default", "p"}, {.uid = "another"}).code(), Code::kConflict);
  EXPECT_TRUE(client->Delete(kPod, {"default", "p"}, {.grace_seconds = 0}).ok());
  const Status gone = client->Delete(kPod, {"default", "p"});
  EXPECT_EQ(gone.code(), Code::kNotFound);
  EXPECT_EQ(gone.message(), "pods \"p\" not found");
}

TEST_F(RestClientTest, ConnectionsAreUsedAgain) {
  objects_.Put(kPod, Named("p"));
  FakeApiServer server(objects_);
  const auto client = MakeClient(server.Config());
  constexpr std::size_t kCalls = 20;
  for (std::size_t i = 0; i < kCalls; ++i) ASSERT_TRUE(GetPod(*client).ok());
  // One goes back to the pool a moment after its answer was read, so there may be a few.
  EXPECT_LT(server.connections(), kCalls / 2);
}

TEST_F(RestClientTest, AConnectionThatWasClosedInThePoolIsReplaced) {
  objects_.Put(kPod, Named("p"));
  FakeApiServer server(objects_);
  const auto client = MakeClient(server.Config());
  server.Once([](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.Send(200, R"({"kind":"Pod"})");
    answer.Cut();
    return true;
  });
  ASSERT_TRUE(GetPod(*client).ok());
  EXPECT_TRUE(GetPod(*client).ok());
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(RestClientTest, RequestsSayWhoSendsThem) {
  objects_.Put(kPod, Named("p"));
  FakeApiServer server(objects_);
  RestConfig config = server.Config();
  config.user_agent = "elephas-operator/1";
  config.impersonate_user = "jane";
  config.impersonate_groups = {"dev"};
  ASSERT_TRUE(GetPod(*MakeClient(config)).ok());
  const auto request = server.last_request();
  EXPECT_EQ(request.Header("user-agent"), "elephas-operator/1");
  EXPECT_EQ(request.Header("impersonate-user"), "jane");
  EXPECT_EQ(request.Header("impersonate-group"), "dev");
}

struct RefusalCase {
  const char* name;
  int status;
  const char* body;
  Code code;
  const char* message;
};
class RefusalTest : public RestClientTest, public testing::WithParamInterface<RefusalCase> {};

TEST_P(RefusalTest, BecomesItsCode) {
  const RefusalCase& row = GetParam();
  FakeApiServer server(objects_);
  server.Once([&](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.Send(row.status, row.body);
    return true;
  });
  const Status status = GetPod(*MakeClient(server.Config())).status();
  EXPECT_EQ(status.code(), row.code);
  EXPECT_EQ(status.message(), row.message);
}

INSTANTIATE_TEST_SUITE_P(
    , RefusalTest,
    testing::Values(
        RefusalCase{"QuotaIsForbidden", 403,
                    R"({"kind":"Status","message":"exceeded quota: compute","code":403})",
                    Code::kForbidden, "exceeded quota: compute"},
        RefusalCase{"AnObjectThatExists", 409,
                    R"({"kind":"Status","reason":"AlreadyExists","message":"m","code":409})",
                    Code::kExists, "m"},
        RefusalCase{"AConflict", 409,
                    R"({"kind":"Status","reason":"Conflict","message":"m","code":409})",
                    Code::kConflict, "m"},
        RefusalCase{"GoneAsHttpStatus", 410,
                    R"({"kind":"Status","reason":"Expired","message":"too old","code":410})",
                    Code::kGone, "too old"},
        RefusalCase{"InvalidKeepsTheRulesOwnWords", 422,
                    R"({"kind":"Status","reason":"Invalid","message":"spec.a: is immutable"})",
                    Code::kInvalid, "spec.a: is immutable"},
        RefusalCase{"AServerErrorIsTriedAgain", 500, R"({"kind":"Status","message":"etcd"})",
                    Code::kUnavailable, "etcd"},
        RefusalCase{"AProxysPageIsQuoted", 502, "<html>Bad Gateway</html>", Code::kUnavailable,
                    "the server answered 502: <html>Bad Gateway</html>"},
        RefusalCase{"ATimeoutOfTheServer", 504, R"({"kind":"Status","reason":"Timeout"})",
                    Code::kTimeout, "Timeout"},
        RefusalCase{"ARedirectIsNotFollowed", 302, "", Code::kInvalid, "the server answered 302"}),
    [](const auto& row) { return row.param.name; });

TEST_F(RestClientTest, TooManyRequestsSayWhenToTryAgain) {
  FakeApiServer server(objects_);
  server.Once([](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.Send(429, R"({"kind":"Status","reason":"TooManyRequests","code":429})",
                {{"Retry-After", "7"}});
    return true;
  });
  const Status status = GetPod(*MakeClient(server.Config())).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(status.retryable());
  EXPECT_EQ(status.retry_after(), std::chrono::seconds(7));
}

TEST_F(RestClientTest, AnObserverIsToldOfCallsAndRefusals) {
  struct Recorder final : ClientObserver {
    void CallEnded(std::string_view verb, std::string_view kind, int code,
                   double seconds) override {
      EXPECT_GE(seconds, 0);
      calls.push_back(std::string(verb) + " " + std::string(kind) + " " + std::to_string(code));
    }
    void Refused(const json& status) override { reason = status.value("reason", ""); }
    std::vector<std::string> calls;
    std::string reason;
  } recorder;
  FakeApiServer server(objects_);
  const auto client = MakeRestClient(server.Config(), recorder);
  ASSERT_TRUE(client.ok());
  EXPECT_FALSE(GetPod(**client).ok());
  EXPECT_TRUE((*client)->List(kPod, {}).ok());
  EXPECT_THAT(recorder.calls, ElementsAre("get Pod 404", "list Pod 200"));
  EXPECT_EQ(recorder.reason, "NotFound");
}

// --- what goes wrong on the way --------------------------------------------------------------

TEST_F(RestClientTest, NobodyListensIsUnavailable) {
  RestConfig config;
  {
    FakeApiServer server(objects_);
    config = server.Config();
  }
  const Status status = GetPod(*MakeClient(config)).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr(config.server));
}

TEST_F(RestClientTest, AServerThatDoesNotAnswerIsATimeout) {
  FakeApiServer server(objects_);
  server.Once([](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.WaitForClient();
    return true;
  });
  const auto client = MakeClient(server.Config());
  EXPECT_EQ(GetPod(*client, milliseconds(100)).status().code(), Code::kTimeout);
}

TEST_F(RestClientTest, ABodyThatStopsComingIsATimeout) {
  FakeApiServer server(objects_);
  server.Once([](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.Raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":");
    answer.WaitForClient();
    return true;
  });
  const auto client = MakeClient(server.Config());
  EXPECT_EQ(GetPod(*client, milliseconds(100)).status().code(), Code::kTimeout);
}

TEST_F(RestClientTest, ASlowBodyIsReadToItsEnd) {
  FakeApiServer server(objects_);
  server.Once([](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.StartChunks();
    for (const char c : std::string(R"({"kind":"Pod"})")) answer.Chunk({&c, 1});
    answer.EndChunks();
    return true;
  });
  EXPECT_EQ(GetPod(*MakeClient(server.Config()))->at("kind"), "Pod");
}

TEST_F(RestClientTest, ABodyCutInTheMiddleIsUnavailable) {
  FakeApiServer server(objects_);
  const auto client = MakeClient(server.Config());
  server.Once([](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.Raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":");
    answer.Cut();
    return true;
  });
  EXPECT_EQ(GetPod(*client).status().code(), Code::kUnavailable);
  server.Once([](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.StartChunks();
    answer.Chunk(R"({"kind":"Pod"})");
    answer.Cut();
    return true;
  });
  EXPECT_EQ(GetPod(*client).status().code(), Code::kUnavailable);
}

TEST_F(RestClientTest, HalfOfAJsonObjectIsUnavailable) {
  FakeApiServer server(objects_);
  server.Once([](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.Send(200, R"({"kind":"Pod","spec":{)");
    return true;
  });
  const Status status = GetPod(*MakeClient(server.Config())).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("not JSON"));
}

// --- TLS -------------------------------------------------------------------------------------

TEST_F(RestClientTest, ACertificateForAnotherAddressIsRefusedByName) {
  FakeApiServer server(objects_, {.names = {"IP:198.18.0.1", "DNS:kubernetes.default.svc"}});
  const Status status = GetPod(*MakeClient(server.Config())).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("not valid for 127.0.0.1"));
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(RestClientTest, TlsServerNameStandsForTheAddress) {
  objects_.Put(kPod, Named("p"));
  FakeApiServer server(objects_, {.names = {"DNS:kubernetes.default.svc"}});
  RestConfig config = server.Config();
  config.tls_server_name = "kubernetes.default.svc";
  const auto pod = GetPod(*MakeClient(config));
  EXPECT_TRUE(pod.ok()) << pod.status().message();
  config.tls_server_name = "elsewhere.default.svc";
  EXPECT_THAT(GetPod(*MakeClient(config)).status().message(),
              HasSubstr("not valid for elsewhere.default.svc"));
}

TEST_F(RestClientTest, AnotherAuthorityIsNotTrusted) {
  FakeApiServer server(objects_);
  RestConfig config = server.Config();
  config.ca_pem = MakeTestAuthority("another").cert_pem;
  const Status status = GetPod(*MakeClient(config)).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("certificate is not accepted"));
  config.ca_pem.clear();  // those of the system do not know ours either
  EXPECT_EQ(GetPod(*MakeClient(config)).status().code(), Code::kUnavailable);
}

TEST_F(RestClientTest, AnExpiredCertificateIsRefused) {
  FakeApiServer server(objects_, {.certificate_hours = -1});
  EXPECT_THAT(GetPod(*MakeClient(server.Config())).status().message(), HasSubstr("expired"));
}

TEST_F(RestClientTest, InsecureAcceptsAnyCertificate) {
  objects_.Put(kPod, Named("p"));
  FakeApiServer server(objects_, {.names = {"DNS:elsewhere"}});
  RestConfig config = server.Config();
  config.ca_pem.clear();
  config.insecure = true;
  EXPECT_TRUE(GetPod(*MakeClient(config)).ok());
}

TEST_F(RestClientTest, AClientCertificateIsShown) {
  objects_.Put(kPod, Named("p"));
  FakeApiServer server(objects_, {.token = "secret"});
  RestConfig config = server.Config();
  config.token.clear();
  const TestCertificate me = MakeTestCertificate(server.authority(), "jane", {});
  config.client_cert_pem = me.cert_pem;
  config.client_key_pem = me.key_pem;
  const auto pod = GetPod(*MakeClient(config));
  ASSERT_TRUE(pod.ok()) << pod.status().message();
  EXPECT_EQ(server.last_request().client_name, "jane");
}

TEST_F(RestClientTest, CertificatesThatCannotBeReadAreToldAtTheStart) {
  RestConfig config;
  config.server = "https://127.0.0.1:1";
  config.ca_pem = "not a certificate";
  EXPECT_EQ(MakeRestClient(config).status().code(), Code::kInvalid);
  const TestCertificate authority = MakeTestAuthority("a"), other = MakeTestAuthority("b");
  config.ca_pem = authority.cert_pem;
  config.client_cert_pem = authority.cert_pem;
  config.client_key_pem = other.key_pem;
  EXPECT_THAT(MakeRestClient(config).status().message(), HasSubstr("does not belong"));
  config.client_key_pem = "no key";
  EXPECT_THAT(MakeRestClient(config).status().message(), HasSubstr("not a PEM private key"));
}

TEST_F(RestClientTest, AnIpv6AddressIsRefusedAtTheStartWithAWayOut) {
  RestConfig config;
  config.server = "https://[::1]:6443";
  const auto client = MakeRestClient(config);
  EXPECT_EQ(client.status().code(), Code::kInvalid);
  EXPECT_THAT(client.status().message(), HasSubstr("name it"));
}

// --- tokens ----------------------------------------------------------------------------------

TEST_F(RestClientTest, AWrongTokenIsUnauthorized) {
  FakeApiServer server(objects_, {.token = "right"});
  RestConfig config = server.Config();
  config.token = "wrong";
  EXPECT_EQ(GetPod(*MakeClient(config)).status().code(), Code::kUnauthorized);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(RestClientTest, ARotatedTokenFileIsReadAgainWhenTheOldTokenHasExpired) {
  objects_.Put(kPod, Named("p"));
  const std::string file = testing::TempDir() + "/elephas_rotated_token";
  ASSERT_TRUE(WriteWholeFile(file, "first\n").ok());
  FakeApiServer server(objects_, {.token = "first"});
  RestConfig config = server.Config();
  config.token.clear();
  config.token_file = file;
  const auto client = MakeClient(config);
  ASSERT_TRUE(GetPod(*client).ok());
  server.SetToken("second");
  EXPECT_EQ(GetPod(*client).status().code(), Code::kUnauthorized);  // the file is still the old one
  ASSERT_TRUE(WriteWholeFile(file, "second\n").ok());
  EXPECT_TRUE(GetPod(*client).ok());
  std::filesystem::remove(file);
}

// --- watches ---------------------------------------------------------------------------------

std::string Line(const std::string& type, const std::string& name, int version) {
  return json{{"type", type},
              {"object",
               {{"metadata", {{"name", name}, {"resourceVersion", std::to_string(version)}}}}}}
             .dump() +
         "\n";
}

TEST_F(RestClientTest, AWatchGivesEachEventAsItHappens) {
  objects_.Put(kPod, Named("p"));
  FakeApiServer server(objects_);
  const auto client = MakeClient(server.Config());
  std::stop_source stop;
  std::vector<std::string> seen;
  std::latch first(1);
  Status end = Internal("still running");
  std::jthread watcher([&] {
    end = client->Watch(
        kPod, {.ns = "default", .label_selector = "app=elephas", .resource_version = "1"},
        [&](const WatchEvent& event) {
          seen.push_back(NameOf(event.object).name);
          if (seen.size() == 1) first.count_down();
          if (event.type == WatchEventType::kBookmark) stop.request_stop();
        },
        stop.get_token());
  });
  const json labels{{"metadata", {{"labels", {{"app", "elephas"}}}}}};
  objects_.Put(kPod, Named("q", labels));
  first.wait();  // before anything else happens
  objects_.Put(kPod, Named("r", labels));
  objects_.Bookmark();
  watcher.join();
  EXPECT_TRUE(end.ok()) << end.message();
  EXPECT_THAT(seen, ElementsAre("q", "r", ""));
  EXPECT_EQ(server.last_request().query.at("allowWatchBookmarks"), "true");
}

TEST_F(RestClientTest, AWatchEndsAtOnceWhenItIsStopped) {
  FakeApiServer server(objects_);
  const auto client = MakeClient(server.Config());
  std::stop_source stop;
  Status end = Internal("still running");
  std::jthread watcher(
      [&] { end = client->Watch(kPod, {}, [](const WatchEvent&) {}, stop.get_token()); });
  ASSERT_TRUE(objects_.WaitForWatches(kPod, 1));
  stop.request_stop();
  watcher.join();
  EXPECT_TRUE(end.ok()) << end.message();
}

struct WatchEndCase {
  const char* name;
  std::function<void(FakeApiServer::Answer&)> answer;
  Code code;
};
class WatchEndTest : public RestClientTest, public testing::WithParamInterface<WatchEndCase> {};

TEST_P(WatchEndTest, GivesWhatCameBefore) {
  FakeApiServer server(objects_);
  server.Once([&](const FakeApiServer::Request&, FakeApiServer::Answer& answer) {
    answer.StartChunks();
    answer.Chunk(Line("ADDED", "p", 5));
    GetParam().answer(answer);
    return true;
  });
  std::vector<std::string> seen;
  const Status end =
      MakeClient(server.Config())
          ->Watch(kPod, {.silence = milliseconds(300)},
                  [&](const WatchEvent& event) { seen.push_back(NameOf(event.object).name); }, {});
  EXPECT_EQ(end.code(), GetParam().code) << end.message();
  EXPECT_THAT(seen, ElementsAre("p"));
}

INSTANTIATE_TEST_SUITE_P(
    , WatchEndTest,
    testing::Values(
        WatchEndCase{"TheServerEndsIt", [](FakeApiServer::Answer& answer) { answer.EndChunks(); },
                     Code::kOk},
        WatchEndCase{"TheConnectionIsCut", [](FakeApiServer::Answer& answer) { answer.Cut(); },
                     Code::kUnavailable},
        WatchEndCase{"CutInTheMiddleOfAnEvent",
                     [](FakeApiServer::Answer& answer) {
                       answer.Chunk(Line("ADDED", "q", 6).substr(0, 20));
                       answer.Cut();
                     },
                     Code::kUnavailable},
        WatchEndCase{"EndedInTheMiddleOfAnEvent",
                     [](FakeApiServer::Answer& answer) {
                       answer.Chunk(Line("ADDED", "q", 6).substr(0, 20));
                       answer.EndChunks();
                     },
                     Code::kUnavailable},
        WatchEndCase{"SilenceCountsAsLost",
                     [](FakeApiServer::Answer& answer) { answer.WaitForClient(); }, Code::kTimeout},
        WatchEndCase{"SomethingThatIsNoEvent",
                     [](FakeApiServer::Answer& answer) {
                       answer.Chunk("<html>\n");
                       answer.WaitForClient();
                     },
                     Code::kUnavailable},
        WatchEndCase{"GoneInsideTheWatch",
                     [](FakeApiServer::Answer& answer) {
                       answer.Chunk(R"({"type":"ERROR","object":{"kind":"Status","code":410,)"
                                    R"("reason":"Expired","message":"too old resource version"}})"
                                    "\n");
                       answer.EndChunks();
                     },
                     Code::kGone}),
    [](const auto& row) { return row.param.name; });

TEST_F(RestClientTest, AWatchFromAnOldVersionIsGone) {
  FakeApiServer server(objects_);
  objects_.Compact();
  const Status end = MakeClient(server.Config())
                         ->Watch(kPod, {.resource_version = "1"}, [](const WatchEvent&) {}, {});
  EXPECT_EQ(end.code(), Code::kGone);
}

TEST_F(RestClientTest, AWatchEndsAfterItsDurationWithoutAnError) {
  FakeApiServer server(objects_);
  server.Once([](const FakeApiServer::Request& request, FakeApiServer::Answer& answer) {
    EXPECT_EQ(request.query.at("timeoutSeconds"), "120");
    answer.StartChunks();
    answer.EndChunks();
    return true;
  });
  EXPECT_TRUE(MakeClient(server.Config())
                  ->Watch(kPod, {.duration = std::chrono::minutes(2)}, [](const WatchEvent&) {}, {})
                  .ok());
}

}  // namespace
}  // namespace elephas::kube
