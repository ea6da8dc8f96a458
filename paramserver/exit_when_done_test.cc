#include "paramserver/exit_when_done.h"

#include <gtest/gtest.h>

#include "common/http/server.h"
#include "paramserver/rest/handler.h"
#include "paramserver/testing/fake_job_service.h"

namespace elephas {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

class Ending : public FakeJobService {
 public:
  EndState end;
  std::string state = "Running";
  [[nodiscard]] EndState End() const override { return end; }
  [[nodiscard]] json StatusJson() const override { return {{"state", state}}; }
};

TEST(DoneWatch, AServerStaysWhileTheJobRuns) {
  Ending service;
  DoneWatch watch(service, {});
  EXPECT_FALSE(watch.Done());
}

TEST(DoneWatch, AServerStaysUntilItsWorkersKnow) {
  Ending service;
  DoneWatch watch(service, {});
  service.end = {true, false};
  EXPECT_FALSE(watch.Done());
  service.end = {true, true};
  EXPECT_TRUE(watch.Done());
}

TEST(DoneWatch, AWorkerThatNeverAsksDoesNotKeepTheServer) {
  Ending service;
  service.end = {true, false};
  DoneWatch watch(service, {.tell_workers = milliseconds(0)});
  EXPECT_TRUE(watch.Done());
}

TEST(DoneWatch, Server0StaysForTheOtherServersToo) {
  Ending service;
  service.end = {true, true};
  DoneWatch watch(service, {.servers = 2});
  EXPECT_FALSE(watch.Done());
  DoneWatch impatient(service, {.servers = 2, .tell_servers = milliseconds(0)});
  EXPECT_TRUE(impatient.Done());
}

TEST(DoneWatch, AnotherServerEndsWhenServer0SaysThatTheJobIsOver) {
  Ending coordinator, other;
  RestHandler handler(coordinator, {.token = "t", .manifest = {}, .uid = "u", .server_index = 0});
  auto server = HttpServer::Start({.address = "127.0.0.1"}, [&handler](HttpRequest& request) {
    return handler.Handle(request);
  });
  ASSERT_TRUE(server.ok());
  DoneWatch watch(other,
                  {.coordinator_url = "http://127.0.0.1:" + std::to_string((*server)->port()),
                   .token = "t",
                   .ask_interval = milliseconds(0)});
  EXPECT_FALSE(watch.Done());
  coordinator.state = "Failed";
  EXPECT_TRUE(watch.Done());
  (*server)->Stop(milliseconds(1000));
}

TEST(TerminationMessage, HoldsTheFinalNumbers) {
  const json status{{"state", "Succeeded"},
                    {"reason", ""},
                    {"message", ""},
                    {"epoch", 2},
                    {"epochs", 2},
                    {"progress", 1.0},
                    {"metrics", json::object()},
                    {"history", {{"loss", {0.5, 0.25}}, {"examples", {10, 10}}}},
                    {"outputs", {"out/model.keras"}},
                    {"workers", json::array()}};
  const json message = json::parse(TerminationMessage(status));
  EXPECT_EQ(message["state"], "Succeeded");
  EXPECT_EQ(message["metrics"], (json{{"loss", 0.25}}));
  EXPECT_EQ(message["outputs"], json::array({"out/model.keras"}));
  EXPECT_FALSE(message.contains("workers"));
}

TEST(TerminationMessage, FitsWhateverIsInIt) {
  json status{{"state", "Failed"}, {"reason", "InvalidJob"}, {"message", std::string(9000, '\n')}};
  for (int i = 0; i < 200; ++i) {
    status["outputs"].push_back(std::string(40, 'o'));
    status["metrics"]["metric" + std::to_string(i)] = 0.123456789;
  }
  const std::string text = TerminationMessage(status);
  EXPECT_LE(text.size(), 4096U);
  const json message = json::parse(text);
  EXPECT_EQ(message["state"], "Failed");
  EXPECT_EQ(message["reason"], "InvalidJob");
}

}  // namespace
}  // namespace elephas
