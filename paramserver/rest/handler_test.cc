#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paramserver/rest/status_page.h"
#include "paramserver/testing/rest_fixture.h"

namespace elephas {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- routing and authentication ---

TEST_F(RestHandlerTest, ProbesAndMetricsNeedNoToken) {
  for (const char* path : {"/healthz", "/readyz", "/metrics"}) {
    EXPECT_EQ(Send({.target = path, .authorization = ""}).status, 200) << path;
  }
}

TEST_F(RestHandlerTest, ThePageIsPublicAndHoldsNothingOfTheJob) {
  const HttpReply reply = Send({.target = "/", .authorization = ""});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.content_type, "text/html; charset=utf-8");
  EXPECT_TRUE(reply.body.starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(reply.body == kStatusPage) << "the page is the same for every job";
  EXPECT_THAT(service_.calls, IsEmpty());
  const std::string policy = Header(reply, "Content-Security-Policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; style-src 'sha256-"));
  EXPECT_THAT(policy, testing::Not(HasSubstr("unsafe")));
}

TEST_F(RestHandlerTest, EverythingUnderV1NeedsTheToken) {
  for (const char* header : {"", "sesame", "Bearer", "Bearer ", "Bearer sesam", "Bearer sesamee",
                             "Bearer SESAME", "Basic sesame", "Bearer sesame "}) {
    for (const char* path : {"/v1/status", "/v1/nothing", "/v1", "/v1/"}) {
      const HttpReply reply = Send({.target = path, .authorization = header});
      EXPECT_EQ(reply.status, 401) << header;
      EXPECT_THAT(Header(reply, "WWW-Authenticate"), HasSubstr("Bearer"));
    }
  }
  EXPECT_EQ(Send({.target = "/v1/status", .authorization = "bearer sesame"}).status, 200);
  EXPECT_THAT(service_.calls, IsEmpty());
}

TEST_F(RestHandlerTest, AnEmptyTokenOpensNothing) {
  RestHandler handler(service_, {.token = "", .manifest = {}, .uid = "u", .server_index = 0});
  FakeRequest request("GET", "/v1/status", {{"Authorization", "Bearer "}}, "");
  EXPECT_EQ(handler.Handle(request).status, 401);
}

TEST_F(RestHandlerTest, UnknownPathsAndMethodsAreNamed) {
  EXPECT_EQ(Body(Send({.target = "/v1/nothing"}), 404)["error"], "not_found");
  EXPECT_EQ(Send({.target = "/v1/status/"}).status, 404);
  EXPECT_EQ(Send({.target = "/index.html"}).status, 404);
  const HttpReply reply = Send({.method = "DELETE", .target = "/v1/parameters"});
  EXPECT_EQ(reply.status, 405);
  EXPECT_EQ(Header(reply, "Allow"), "GET, HEAD, PUT");
  EXPECT_EQ(Send({.method = "HEAD", .target = "/v1/status"}).status, 200);
}

TEST_F(RestHandlerTest, UnknownAndRepeatedQueryParametersAreRefused) {
  EXPECT_THAT(Body(Send({.target = "/v1/status?x=1"}), 400)["message"].get<std::string>(),
              HasSubstr("'x'"));
  EXPECT_THAT(
      Body(Send({.target = "/v1/parameters?wait=1&wait=2"}), 400)["message"].get<std::string>(),
      HasSubstr("twice"));
}

// --- codes ---

struct CodeRow {
  Code code;
  int status;
  const char* error;
};
class RestHandlerCodes : public RestHandlerTest, public testing::WithParamInterface<CodeRow> {};
TEST_P(RestHandlerCodes, BecomeAStatus) {
  service_.answer = Status(GetParam().code, "because");
  const HttpReply reply = Send({.target = "/v1/parameters"});
  const json body = Body(reply, GetParam().status);
  EXPECT_EQ(body["error"], GetParam().error);
  EXPECT_EQ(body["message"], "because");
  EXPECT_EQ(body.contains("incarnation"), GetParam().code == Code::kConflict);
  if (GetParam().status == 409) {
    EXPECT_EQ(body["incarnation"], 3);
  }
  EXPECT_EQ(Header(reply, "Retry-After"), GetParam().status == 503 ? "1" : "(none)");
}
INSTANTIATE_TEST_SUITE_P(RestHandler, RestHandlerCodes,
                         testing::Values(CodeRow{Code::kInvalid, 400, "invalid"},
                                         CodeRow{Code::kUnauthorized, 401, "unauthorized"},
                                         CodeRow{Code::kNotFound, 404, "not_found"},
                                         CodeRow{Code::kTimeout, 408, "timeout"},
                                         CodeRow{Code::kConflict, 409, "conflict"},
                                         CodeRow{Code::kUnavailable, 503, "unavailable"},
                                         CodeRow{Code::kInternal, 500, "internal"}),
                         [](const auto& row) { return row.param.error; });

// --- workers and leases ---

TEST_F(RestHandlerTest, AJoiningWorkerLearnsWhatItNeeds) {
  EXPECT_EQ(Body(PostJson("/v1/workers", {{"name", "worker-0"}}), 200),
            json({{"worker", "worker-0"},
                  {"incarnation", 3},
                  {"initialised", true},
                  {"seed", 42},
                  {"servers", {"http://127.0.0.1:4000"}},
                  {"leaseSeconds", 1.5},
                  {"over", false}}));
  EXPECT_EQ(Body(Send({.target = "/v1/job"}), 200)["manifest"], json({{"kind", "ElephasJob"}}));
}

TEST_F(RestHandlerTest, JsonBodiesAreReadStrictly) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"", "expected"},
      {"{", "not JSON"},
      {"[]", "must be an object"},
      {"null", "must be an object"},
      {"{}", "'name' is missing"},
      {R"({"name": 1})", "'name' must be a string"},
      {R"({"name": "a", "extra": 1})", "unknown field 'extra'"},
      {R"({"name": "a b"})", "name has 1 to 128"},
      {R"({"name": ""})", "name has 1 to 128"},
      {std::string(R"({"name": ")") + std::string(200, 'a') + "\"}", "name has 1 to 128"},
      {"{\"name\": \"\xff\"}", "not JSON"},
      {std::string(60000, '['), "nested deeper than 64 levels"},
  };
  for (const auto& [body, message] : rows) {
    const HttpReply reply =
        Send({.method = "POST", .target = "/v1/workers", .body = body, .type = "application/json"});
    EXPECT_THAT(Body(reply, 400)["message"].get<std::string>(), HasSubstr(message)) << body;
  }
  EXPECT_THAT(service_.calls, IsEmpty());
}

TEST_F(RestHandlerTest, AJsonBodyThatIsTooLargeIsNotRead) {
  const HttpReply reply = Send({.method = "POST",
                                .target = "/v1/workers",
                                .body = "{}",
                                .type = "application/json",
                                .announced = std::int64_t{1} << 40});
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(left_, std::uint64_t{1} << 40);
}

TEST_F(RestHandlerTest, AnotherContentTypeIsRefused) {
  EXPECT_EQ(
      Send({.method = "POST", .target = "/v1/workers", .body = "{}", .type = "text/plain"}).status,
      415);
  EXPECT_EQ(Send({.method = "POST",
                  .target = "/v1/updates",
                  .body = "{}",
                  .type = "application/x-www-form-urlencoded"})
                .status,
            415);
  EXPECT_EQ(Send({.method = "POST",
                  .target = "/v1/workers",
                  .body = R"({"name": "a"})",
                  .type = "Application/JSON; charset=utf-8"})
                .status,
            200);
}

TEST_F(RestHandlerTest, HeartbeatsAndLeavesReachTheService) {
  EXPECT_EQ(Send({.method = "PUT", .target = "/v1/workers/w-1/heartbeat"}).status, 204);
  EXPECT_EQ(Send({.method = "DELETE", .target = "/v1/workers/w-1"}).status, 204);
  EXPECT_EQ(
      PostJson("/v1/failure", {{"worker", "w-1"}, {"reason", "BadData"}, {"message", "m"}}).status,
      204);
  EXPECT_THAT(service_.calls, ElementsAre("heartbeat w-1 3", "leave w-1", "fail w-1 BadData m"));
  EXPECT_EQ(Send({.method = "PUT", .target = "/v1/workers/w%201/heartbeat"}).status, 400);
}

TEST_F(RestHandlerTest, TheIncarnationIsAskedForWhereItMatters) {
  const Ask heartbeat{.method = "PUT", .target = "/v1/workers/w/heartbeat", .incarnation = ""};
  EXPECT_THAT(Body(Send(heartbeat), 400)["message"].get<std::string>(), HasSubstr("missing"));
  for (const char* wrong : {"x", "-1", "1.5", "3 ", "99999999999999999999"}) {
    Ask ask = heartbeat;
    ask.incarnation = wrong;
    EXPECT_EQ(Send(ask).status, 400) << wrong;
  }
  EXPECT_THAT(service_.calls, IsEmpty());
}

TEST_F(RestHandlerTest, ALeaseOrTheReasonForNoneIsGiven) {
  const json ask{{"worker", "w"}, {"wait", 0.25}, {"prefetch", true}};
  service_.lease_reply.state = LeaseReply::State::kLeased;
  service_.lease_reply.lease.emplace().id = LeaseId(9);
  json body = Body(PostJson("/v1/leases", ask), 200);
  EXPECT_EQ(body["state"], "leased");
  EXPECT_EQ(body["lease"]["lease"], 9);
  service_.lease_reply.state = LeaseReply::State::kWait;
  EXPECT_EQ(Body(PostJson("/v1/leases", {{"worker", "w"}}), 200), json({{"state", "wait"}}));
  service_.lease_reply.state = LeaseReply::State::kSucceeded;
  EXPECT_EQ(Body(PostJson("/v1/leases", ask), 200), json({{"state", "succeeded"}}));
  service_.lease_reply = {LeaseReply::State::kFailed, std::nullopt, "NaN"};
  EXPECT_EQ(Body(PostJson("/v1/leases", ask), 200),
            json({{"state", "failed"}, {"message", "NaN"}}));
  EXPECT_EQ(service_.calls[0], "lease w 3 250 prefetch");
  EXPECT_EQ(service_.calls[1], "lease w 3 0");
  for (const json& wait : {json(-1), json(61), json("1"), json(nullptr)}) {
    EXPECT_EQ(PostJson("/v1/leases", {{"worker", "w"}, {"wait", wait}}).status, 400) << wait;
  }
}

TEST_F(RestHandlerTest, AFinishedTaskIsReported) {
  const json body{{"task", "validate"},
                  {"epoch", 1},
                  {"partition", 2},
                  {"examples", 10},
                  {"metrics", {{"loss", {{"kind", "mean"}, {"values", {2.5, 10}}}}}}};
  EXPECT_EQ(Body(PostJson("/v1/leases/12/finish", body), 200), json({{"outcome", "applied"}}));
  EXPECT_EQ(service_.calls[0],
            "finish 12 3 validate epoch 1 partition 2 10 "
            R"({"loss":{"kind":"mean","values":[2.5,10.0]}} 0)");
  service_.admits = UpdateOutcome::kDuplicate;
  json with_outputs = body;
  with_outputs["outputs"] = {"out/model.keras"};
  EXPECT_EQ(Body(PostJson("/v1/leases/12/finish", with_outputs), 200)["outcome"], "duplicate");
  EXPECT_EQ(PostJson("/v1/leases/x/finish", body).status, 404);
  EXPECT_EQ(PostJson("/v1/leases/99999999999999999999999/finish", body).status, 404);
  with_outputs["outputs"] = {1};
  EXPECT_EQ(PostJson("/v1/leases/12/finish", with_outputs).status, 400);
  with_outputs["task"] = "sleep";
  EXPECT_EQ(PostJson("/v1/leases/12/finish", with_outputs).status, 400);
}

TEST_F(RestHandlerTest, PeersRegister) {
  service_.job.parameter_servers.replicas = 2;
  const json body{
      {"index", 1}, {"boot", "b"}, {"url", "http://x:1"}, {"incarnation", 0}, {"cuts", {1, 2}}};
  EXPECT_EQ(Body(PostJson("/v1/peers", body), 200),
            json({{"incarnation", 3}, {"cut", 2}, {"seed", 42}, {"uid", "u"}}));
  EXPECT_THAT(service_.calls, ElementsAre("peer 1 b http://x:1 0 2"));
  const std::vector<std::pair<json, int>> rows{{0, 404}, {2, 404}, {-1, 400}, {"1", 400}};
  for (const auto& [index, status] : rows) {
    json wrong = body;
    wrong["index"] = index;
    EXPECT_EQ(PostJson("/v1/peers", wrong).status, status) << index;
  }
  json wrong = body;
  wrong["cuts"] = {0};
  EXPECT_EQ(PostJson("/v1/peers", wrong).status, 400);
}

// --- watching ---

TEST_F(RestHandlerTest, StatusAndHistoryAreTheServices) {
  EXPECT_EQ(Body(Send({.target = "/v1/status"}), 200)["version"], 7);
  EXPECT_EQ(Body(Send({.target = "/v1/status?brief=false"}), 200)["history"]["loss"].size(), 2U);
  // What the operator asks for does not grow with the job.
  const json brief = Body(Send({.target = "/v1/status?brief=true"}), 200);
  EXPECT_EQ(brief["version"], 7);
  EXPECT_EQ(brief["history"], json::parse(R"({"loss": [0.5], "accuracy": []})"));
  ASSERT_EQ(brief["workers"].size(), 2U) << "who has applied examples";
  EXPECT_EQ(brief["workers"][0]["name"], "lost");
  EXPECT_EQ(brief["workers"][1]["name"], "live");
  EXPECT_EQ(brief["events"], json::array());
  EXPECT_EQ(Send({.target = "/v1/status?brief=yes"}).status, 400);
  EXPECT_EQ(Body(Send({.target = "/v1/history"}), 200), json({{"loss", {0.5}}}));
}

TEST_F(RestHandlerTest, ReadinessFollowsTheService) {
  service_.ready = false;
  EXPECT_EQ(Body(Send({.target = "/readyz"}), 503)["error"], "unavailable");
  EXPECT_EQ(Send({.target = "/healthz"}).status, 200);
}

TEST_F(RestHandlerTest, MetricsCountRequestsByRoute) {
  (void)Send({.target = "/v1/status"});
  (void)Send({.target = "/v1/nothing"});
  (void)Send({.method = "DELETE", .target = "/v1/workers/w-1"});
  const HttpReply reply = Send({.target = "/metrics"});
  EXPECT_THAT(reply.content_type, HasSubstr("text/plain; version=0.0.4"));
  for (const char* line :
       {R"(http_requests_total{job="digits",role="paramserver",server="0",method="GET",)"
        R"(route="/v1/status",code="200"} 1)",
        R"(method="GET",route="unknown",code="404"} 1)", R"(route="/v1/workers/{worker}",code=)",
        R"(elephas_paramserver_ready{job="digits",role="paramserver",server="0"} 1)",
        R"(http_requests_in_flight{job="digits",role="paramserver",server="0"} 1)",
        R"(elephas_paramserver_version{job="digits",role="paramserver",server="0"} 7)"}) {
    EXPECT_THAT(reply.body, HasSubstr(line));
  }
}

}  // namespace
}  // namespace elephas
