// Requests to the REST edge over a small fake job: "METHOD target\nbody", with the right token and
// incarnation. Whatever comes, the reply is a documented one, and a refusal has changed nothing.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/log.h"
#include "fuzz/fuzz_check.h"
#include "paramserver/rest/handler.h"
#include "paramserver/testing/fake_job_service.h"
#include "paramserver/testing/fake_request.h"

using elephas::FuzzCheck;

namespace {

constexpr std::array kStatuses{200, 204, 304, 400, 401, 404, 405, 408, 409, 413, 415};

// Of the calls that change a job; joins and leases only touch who works on it.
bool Changes(std::string_view call) {
  for (const std::string_view verb : {"update ", "parameters ", "layout ", "finish ", "fail "}) {
    if (call.starts_with(verb)) return true;
  }
  return false;
}

void CheckError(const elephas::HttpReply& reply) {
  const auto json = nlohmann::json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
  FuzzCheck(json.is_object() && json.contains("error"), "an error without a code");
  FuzzCheck(!json.at("message").get<std::string>().empty(), "an error without a message");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool kQuiet = elephas::InitLog({.level = "off"}).ok();
  FuzzCheck(kQuiet, "the log is not off");
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line_end = std::min(input.find('\n'), input.size());
  const std::string_view line = input.substr(0, line_end);
  const std::size_t space = std::min(line.find(' '), line.size());
  const std::string_view target = line.substr(std::min(space + 1, line.size()));
  const std::string_view body = input.substr(std::min(line_end + 1, input.size()));

  elephas::FakeJobService service;
  elephas::RestHandler handler(service, {.token = "t", .manifest = {}, .uid = "u"});
  elephas::FakeRequest request(std::string(line.substr(0, space)), target,
                               {{"Authorization", "Bearer t"}, {"Elephas-Incarnation", "3"}},
                               std::string(body));
  const elephas::HttpReply reply = handler.Handle(request);

  FuzzCheck(std::find(kStatuses.begin(), kStatuses.end(), reply.status) != kStatuses.end(),
            "a status that is not documented");
  FuzzCheck(service.acquired <= 6 + 4, "more memory than the model needs");
  const bool changed = std::any_of(service.calls.begin(), service.calls.end(), Changes);
  const bool update_counts =
      std::any_of(reply.headers.begin(), reply.headers.end(),
                  [](const auto& header) { return header.first == "Elephas-Outcome"; });
  if (reply.status >= 400) {
    CheckError(reply);
    FuzzCheck(!changed || update_counts, "a refusal that changed something");
  }
  if (!service.got_floats.empty()) FuzzCheck(service.got_floats.size() == 6, "half an update");
  return 0;
}
