// What the tests of the REST edge share: a handler over a fake job, requests, and bodies.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/protocol/safetensors.h"
#include "paramserver/rest/handler.h"
#include "paramserver/testing/fake_job_service.h"
#include "paramserver/testing/fake_request.h"

namespace elephas {

using nlohmann::json;

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

inline std::string Floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline safetensors::TensorInfo Tensor(std::string name, std::vector<std::int64_t> shape,
                                      std::string dtype = "F32") {
  return {std::move(name), std::move(dtype), std::move(shape), 0, 0};
}

inline json Update() {
  return {{"incarnation", 3}, {"lease", 1},
          {"task", "train"},  {"epoch", 0},
          {"partition", 2},   {"batches", {0, 4}},
          {"base", 7},        {"examples", 256},
          {"steps", 4},       {"metrics", json::array({json::object()})}};
}

inline std::string UpdateBody(const std::vector<safetensors::TensorInfo>& tensors,
                              const std::string& data, const json& update = Update()) {
  return safetensors::SerializeHeader({{"update", update.dump()}}, tensors) + data;
}
inline std::string GoodUpdate() {
  return UpdateBody({Tensor("delta", {6})}, Floats({1, 2, 3, 4, 5, 6}));
}

// Header of a safetensors body of one reply, and its data.
inline std::pair<safetensors::Header, std::vector<float>> Parse(const HttpReply& reply) {
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

}  // namespace elephas
