#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "paramserver/testing/rest_fixture.h"

namespace elephas {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

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

// 16 MiB of "[" took 1.2 GB; what counts as many values in few bytes would take as much.
TEST_F(RestHandlerTest, ALayoutThatIsNoneTakesNoMemory) {
  const auto peak_kilobytes = [] {
    rusage usage{};
    EXPECT_EQ(::getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
  };
  const std::string brackets(std::size_t{16} << 20, '[');
  std::string values = "[[]";
  while (values.size() + 4 < brackets.size()) values.append(",[]");
  values.append("]");
  const long before = peak_kilobytes();
  for (const auto& [body, why] :
       {std::pair<const std::string&, std::string>(brackets, "nested deeper than 16 levels"),
        std::pair<const std::string&, std::string>(values, "more than 800000 values")}) {
    const HttpReply reply =
        Send({.method = "PUT", .target = "/v1/layout", .body = body, .type = "application/json"});
    EXPECT_EQ(Body(reply, 400)["message"], "the body: " + why);
  }
#if defined(__SANITIZE_ADDRESS__)
  const long bound = 400'000;  // it keeps what is freed for a while
#else
  const long bound = 150'000;
#endif
  EXPECT_LT(peak_kilobytes() - before, bound);  // copies of the body included
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
            400, "metadata 'update': not JSON"},
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

}  // namespace
}  // namespace elephas
