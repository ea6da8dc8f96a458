#include "paramserver/rest_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "common/safetensors.h"
#include "paramserver/fake_job_service.h"
#include "paramserver/fake_request.h"

namespace elephas {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

struct Ask {
  std::string method = "GET";
  std::string target;
  std::string body = {};
  std::string type = {};
  std::string incarnation = "3";
  std::string authorization = "Bearer sesame";
  std::map<std::string, std::string> more = {};
  std::int64_t announced = -1;
};

class RestHandlerTest : public testing::Test {
 protected:
  HttpReply Send(const Ask& ask) {
    std::map<std::string, std::string> headers = ask.more;
    if (!ask.authorization.empty()) headers["Authorization"] = ask.authorization;
    if (!ask.incarnation.empty()) headers["Elephas-Incarnation"] = ask.incarnation;
    if (!ask.type.empty()) headers["Content-Type"] = ask.type;
    FakeRequest request(ask.method, ask.target, std::move(headers), ask.body, ask.announced);
    HttpReply reply = handler_.Handle(request);
    left_ = request.body_left();
    return reply;
  }
  HttpReply PostJson(const std::string& target, const json& body) {
    return Send(
        {.method = "POST", .target = target, .body = body.dump(), .type = "application/json"});
  }
  // The JSON of a reply with status `status`.
  static json Body(const HttpReply& reply, int status) {
    EXPECT_EQ(reply.status, status) << reply.body;
    return json::parse(reply.body);
  }
  static std::string Header(const HttpReply& reply, std::string_view name) {
    for (const auto& [key, value] : reply.headers) {
      if (key == name) return value;
    }
    return "(none)";
  }

  FakeJobService service_;
  RestHandler handler_{
      service_,
      {.token = "sesame", .manifest = {{"kind", "ElephasJob"}}, .uid = "u", .server_index = 0}};
  std::uint64_t left_ = 0;
};

// --- bodies ---

std::string Floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

safetensors::TensorInfo Tensor(std::string name, std::vector<std::int64_t> shape,
                               std::string dtype = "F32") {
  return {std::move(name), std::move(dtype), std::move(shape), 0, 0};
}

json Update() {
  return {{"incarnation", 3}, {"lease", 1},
          {"task", "train"},  {"epoch", 0},
          {"partition", 2},   {"batches", {0, 4}},
          {"base", 7},        {"examples", 256},
          {"steps", 4},       {"metrics", json::array({json::object()})}};
}

std::string UpdateBody(std::vector<safetensors::TensorInfo> tensors, const std::string& data,
                       const json& update = Update()) {
  return safetensors::SerializeHeader({{"update", update.dump()}}, std::move(tensors)) + data;
}
std::string GoodUpdate() { return UpdateBody({Tensor("delta", {6})}, Floats({1, 2, 3, 4, 5, 6})); }

// --- routing and authentication ---

TEST_F(RestHandlerTest, ProbesAndMetricsNeedNoToken) {
  for (const char* path : {"/healthz", "/readyz", "/metrics"}) {
    EXPECT_EQ(Send({.target = path, .authorization = ""}).status, 200) << path;
  }
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
  EXPECT_EQ(Send({.target = "/"}).status, 404);
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
                  {"leaseSeconds", 1.5}}));
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
      {std::string(60000, '['), "not JSON"},
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

// --- layout and parameters ---

TEST_F(RestHandlerTest, TheLayoutGoesInAndComesOut) {
  const json layout = ToJson(*service_.layout);
  const json ranges{{"parameters", {0, 6}}, {"slots", {0, 4}}};
  EXPECT_EQ(Body(Send({.method = "PUT",
                       .target = "/v1/layout",
                       .body = layout.dump(),
                       .type = "application/json"}),
                 200),
            ranges);
  EXPECT_THAT(service_.calls, ElementsAre("layout 3 6"));
  json whole = ranges;
  whole["layout"] = layout;
  EXPECT_EQ(Body(Send({.target = "/v1/layout"}), 200), whole);
  service_.layout = nullptr;
  EXPECT_EQ(Send({.target = "/v1/layout"}).status, 404);
}

TEST_F(RestHandlerTest, InitialParametersAreReadIntoBuffers) {
  const std::string body =
      safetensors::SerializeHeader({{"iterations", "12"}},
                                   {Tensor("parameters", {6}), Tensor("slots", {1, 4})}) +
      Floats({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  const HttpReply reply = Send({.method = "PUT",
                                .target = "/v1/parameters",
                                .body = body,
                                .type = "application/octet-stream"});
  EXPECT_EQ(reply.status, 204) << reply.body;
  EXPECT_THAT(service_.calls, ElementsAre("parameters 3 12"));
  EXPECT_THAT(service_.got_floats, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(service_.got_slots, ElementsAre(ElementsAre(7, 8, 9, 10)));
}

TEST_F(RestHandlerTest, ParametersOfAnotherIncarnationAreNotRead) {
  const std::string body =
      safetensors::SerializeHeader({}, {Tensor("parameters", {6})}) + Floats({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(
      Body(Send({.method = "PUT", .target = "/v1/parameters", .body = body, .incarnation = "2"}),
           409)["incarnation"],
      3);
  EXPECT_EQ(service_.acquired, 0);
}

// Header of a safetensors body of one reply, and its data.
std::pair<safetensors::Header, std::vector<float>> Parse(const HttpReply& reply) {
  std::uint64_t length = 0;
  std::memcpy(&length, reply.body.data(), sizeof(length));
  auto header = safetensors::ParseHeader(std::string_view(reply.body).substr(8, length));
  EXPECT_TRUE(header.ok()) << header.status().message();
  EXPECT_EQ(reply.body.size(), 8 + length);
  std::vector<float> values;
  for (const auto& piece : reply.tail) {
    const std::size_t before = values.size();
    values.resize(before + piece.size() / sizeof(float));
    std::memcpy(values.data() + before, piece.data(), piece.size());
  }
  return {*header, values};
}

TEST_F(RestHandlerTest, APullSendsTheSnapshotsOwnMemory) {
  const HttpReply reply = Send({.target = "/v1/parameters?minVersion=7&wait=1.5&slots=true"});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_THAT(service_.calls, ElementsAre("pull 3 7 1500 slots"));
  EXPECT_EQ(Header(reply, "ETag"), "\"3.7\"");
  const auto [header, values] = Parse(reply);
  EXPECT_THAT(header.metadata,
              testing::UnorderedElementsAre(Pair("version", "7"), Pair("incarnation", "3"),
                                            Pair("iterations", "5")));
  EXPECT_THAT(header.Find("parameters")->shape, ElementsAre(6));
  EXPECT_THAT(header.Find("slots")->shape, ElementsAre(1, 4));
  EXPECT_THAT(values, ElementsAre(1, 2, 3, 4, 5, 6, 10, 20, 30, 40));
}

TEST_F(RestHandlerTest, APullThatKnowsTheVersionGetsNothing) {
  const std::vector<std::pair<std::string, int>> rows = {
      {"\"3.7\"", 304}, {"W/\"3.7\"", 304}, {"\"1.1\", \"3.7\"", 304},
      {"*", 304},       {"\"3.6\"", 200},   {"\"2.7\"", 200},
      {"3.7", 200},     {"", 200}};
  for (const auto& [tag, status] : rows) {
    const HttpReply reply = Send({.target = "/v1/parameters", .more = {{"If-None-Match", tag}}});
    EXPECT_EQ(reply.status, status) << tag;
    EXPECT_EQ(Header(reply, "ETag"), "\"3.7\"");
    EXPECT_EQ(reply.tail.empty(), status == 304);
  }
}

TEST_F(RestHandlerTest, APullNeedNotNameAnIncarnationButAWrongOneIsRefused) {
  EXPECT_EQ(Send({.target = "/v1/parameters", .incarnation = ""}).status, 200);
  EXPECT_EQ(Send({.target = "/v1/parameters", .incarnation = "2"}).status, 409);
}

TEST_F(RestHandlerTest, PullsQueryIsChecked) {
  for (const char* query :
       {"minVersion=-1", "minVersion=x", "minVersion=", "minVersion=1e3", "wait=-1", "wait=61",
        "wait=nan", "wait=", "slots=1", "slots=", "minVersion=99999999999999999999"}) {
    EXPECT_EQ(Send({.target = std::string("/v1/parameters?") + query}).status, 400) << query;
  }
  EXPECT_EQ(Send({.target = "/v1/parameters?minVersion=8"}).status, 408);
}

TEST_F(RestHandlerTest, TheModelHasItsWeightsByName) {
  const HttpReply reply = Send({.target = "/v1/model.safetensors"});
  ASSERT_EQ(reply.status, 200);
  const auto [header, values] = Parse(reply);
  ASSERT_EQ(header.tensors.size(), 2);
  EXPECT_EQ(header.tensors[0].name, "dense/kernel");
  EXPECT_THAT(header.tensors[0].shape, ElementsAre(2, 2));
  EXPECT_EQ(header.tensors[1].name, "bn/mean");
  EXPECT_THAT(values, ElementsAre(1, 2, 3, 4, 5, 6));
  service_.job.parameter_servers.replicas = 2;
  EXPECT_EQ(Send({.target = "/v1/model.safetensors"}).status, 409);
}

// --- updates ---

TEST_F(RestHandlerTest, AnUpdateIsAppliedAndAnswered) {
  const HttpReply reply = Send({.method = "POST", .target = "/v1/updates", .body = GoodUpdate()});
  EXPECT_EQ(Body(reply, 200), json({{"outcome", "applied"}, {"version", 8}}));
  EXPECT_EQ(Header(reply, "Elephas-Outcome"), "applied");
  EXPECT_EQ(Header(reply, "Elephas-Version"), "8");
  EXPECT_THAT(service_.calls, ElementsAre("update train epoch 0 partition 2"));
  EXPECT_THAT(service_.got_floats, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(RestHandlerTest, SlotsMayComeBeforeOrAfterTheDelta) {
  const std::string after = UpdateBody({Tensor("delta", {6}), Tensor("slots", {1, 4})},
                                       Floats({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  const std::string before = UpdateBody({Tensor("slots", {1, 4}), Tensor("delta", {6})},
                                        Floats({7, 8, 9, 10, 1, 2, 3, 4, 5, 6}));
  for (const std::string& body : {after, before}) {
    EXPECT_EQ(Send({.method = "POST", .target = "/v1/updates", .body = body}).status, 200);
    EXPECT_THAT(service_.got_floats, ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_THAT(service_.got_slots, ElementsAre(ElementsAre(7, 8, 9, 10)));
  }
}

TEST_F(RestHandlerTest, AnUpdateMayBringTheNewParametersBack) {
  const HttpReply reply =
      Send({.method = "POST",
            .target = "/v1/updates?return=parameters&minVersion=8&wait=2&slots=true",
            .body = GoodUpdate()});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(Header(reply, "Elephas-Outcome"), "applied");
  EXPECT_EQ(Header(reply, "Elephas-Version"), "8");
  EXPECT_EQ(Header(reply, "ETag"), "\"3.8\"");
  EXPECT_EQ(Parse(reply).second.size(), 10);
  EXPECT_THAT(service_.calls,
              ElementsAre("update train epoch 0 partition 2", "pull 3 8 2000 slots"));
}

TEST_F(RestHandlerTest, AnErrorAfterAnAppliedUpdateSaysThatItCounts) {
  const HttpReply reply = Send({.method = "POST",
                                .target = "/v1/updates?return=parameters&minVersion=99",
                                .body = GoodUpdate()});
  EXPECT_EQ(reply.status, 408);
  EXPECT_EQ(Header(reply, "Elephas-Outcome"), "applied");
  EXPECT_EQ(Header(reply, "Elephas-Version"), "8");
}

TEST_F(RestHandlerTest, ARepeatedUpdateIsAnsweredAndItsBodySkipped) {
  service_.admits = UpdateOutcome::kDuplicate;
  HttpReply reply = Send({.method = "POST", .target = "/v1/updates", .body = GoodUpdate()});
  EXPECT_EQ(Body(reply, 200), json({{"outcome", "duplicate"}, {"version", 7}}));
  EXPECT_EQ(left_, 0);
  EXPECT_EQ(service_.acquired, 0);
  reply = Send({.method = "POST", .target = "/v1/updates?return=parameters", .body = GoodUpdate()});
  EXPECT_EQ(Header(reply, "Elephas-Outcome"), "duplicate");
  EXPECT_EQ(Parse(reply).second.size(), 6);
}

TEST_F(RestHandlerTest, ARefusedUpdateLeavesTheNumbersUnread) {
  json update = Update();
  update["incarnation"] = 2;
  const HttpReply reply =
      Send({.method = "POST",
            .target = "/v1/updates",
            .body = UpdateBody({Tensor("delta", {6})}, Floats(std::vector<float>(6)), update)});
  EXPECT_EQ(Body(reply, 409)["incarnation"], 3);
  EXPECT_EQ(left_, 24);
  EXPECT_EQ(service_.acquired, 0);
}

TEST_F(RestHandlerTest, UpdatesNeedALayout) {
  service_.layout = nullptr;
  EXPECT_EQ(Send({.method = "POST", .target = "/v1/updates", .body = GoodUpdate()}).status, 409);
}

struct BadBody {
  const char* name;
  std::string body;
  int status;
  std::string message;
  std::int64_t announced = -1;
};
class RestHandlerBadUpdate : public RestHandlerTest, public testing::WithParamInterface<BadBody> {};
TEST_P(RestHandlerBadUpdate, IsNamedAndChangesNothing) {
  const HttpReply reply = Send({.method = "POST",
                                .target = "/v1/updates",
                                .body = GetParam().body,
                                .announced = GetParam().announced});
  EXPECT_THAT(Body(reply, GetParam().status)["message"].get<std::string>(),
              HasSubstr(GetParam().message));
  EXPECT_THAT(service_.calls, IsEmpty());
  EXPECT_EQ(Send({.method = "POST", .target = "/v1/updates", .body = GoodUpdate()}).status, 200);
}

std::string RawHeader(const std::string& header) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header;
}
std::string Without(const char* field) {
  json update = Update();
  update.erase(field);
  return UpdateBody({Tensor("delta", {6})}, Floats(std::vector<float>(6)), update);
}
const std::vector<float> kSix(6);

INSTANTIATE_TEST_SUITE_P(
    RestHandler, RestHandlerBadUpdate,
    testing::Values(
        BadBody{"Empty", "", 400, "shorter than 8 bytes"},
        BadBody{"Short", "abc", 400, "shorter than 8 bytes"},
        BadBody{"HeaderPastTheEnd", RawHeader("{}").substr(0, 9), 400, "header has 2 bytes"},
        BadBody{"HugeHeader", std::string(16, '\x7f'), 400, "header has"},
        BadBody{"HeaderIsNoJson", RawHeader("hello"), 400, ""},
        BadBody{"NoTensor", UpdateBody({}, ""), 400, "tensor 'delta' is missing"},
        BadBody{"WrongName", UpdateBody({Tensor("gradient", {6})}, Floats(kSix)), 400,
                "tensor 'gradient' is not expected"},
        BadBody{"WrongDtype", UpdateBody({Tensor("delta", {3}, "F64")}, Floats(kSix)), 400,
                "tensor 'delta': dtype is F64"},
        BadBody{"WrongShape", UpdateBody({Tensor("delta", {2, 3})}, Floats(kSix)), 400,
                "tensor 'delta': shape is [2, 3], not [6]"},
        BadBody{"WrongSlots",
                UpdateBody({Tensor("delta", {6}), Tensor("slots", {4})},
                           Floats(std::vector<float>(10))),
                400, "tensor 'slots': shape is [4], not [1, 4]"},
        BadBody{"TooFew", UpdateBody({Tensor("delta", {6})}, Floats({1, 2, 3})), 400,
                "the tensors have 24 bytes, the body holds 12"},
        BadBody{"Trailing", UpdateBody({Tensor("delta", {6})}, Floats(kSix) + "x"), 400,
                "the body holds 25"},
        BadBody{"Truncated", UpdateBody({Tensor("delta", {6})}, Floats({1, 2, 3})), 400,
                "truncated", static_cast<std::int64_t>(GoodUpdate().size())},
        BadBody{"TooLarge", "", 413, "at most", std::int64_t{1} << 40},
        BadBody{"NoUpdate", safetensors::SerializeHeader({}, {Tensor("delta", {6})}) + Floats(kSix),
                400, "metadata 'update' is missing"},
        BadBody{
            "UpdateIsNoJson",
            safetensors::SerializeHeader({{"update", "{"}}, {Tensor("delta", {6})}) + Floats(kSix),
            400, "'update' is not JSON"},
        BadBody{"NoTask", Without("task"), 400, "'task' is missing"},
        BadBody{"NoMetrics", Without("metrics"), 400, "'metrics' is missing"}),
    [](const auto& row) { return row.param.name; });

TEST_F(RestHandlerTest, TheReturnQueryIsChecked) {
  for (const char* query : {"return=everything", "return=", "wait=1", "slots=true", "minVersion=1",
                            "return=parameters&wait=x"}) {
    EXPECT_EQ(
        Send(
            {.method = "POST", .target = std::string("/v1/updates?") + query, .body = GoodUpdate()})
            .status,
        400)
        << query;
  }
  EXPECT_THAT(service_.calls, IsEmpty());
}

// --- watching ---

TEST_F(RestHandlerTest, StatusAndHistoryAreTheServices) {
  EXPECT_EQ(Body(Send({.target = "/v1/status"}), 200)["version"], 7);
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
       {R"(elephas_http_requests_total{code="200",method="GET",route="/v1/status"} 1)",
        R"(elephas_http_requests_total{code="404",method="GET",route="unknown"} 1)",
        R"(route="/v1/workers/{worker}"} 1)", "elephas_ready 1",
        "elephas_http_requests_in_flight 1", "elephas_incarnation 3", "elephas_version 7"}) {
    EXPECT_THAT(reply.body, HasSubstr(line));
  }
}

}  // namespace
}  // namespace elephas
