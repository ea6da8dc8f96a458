#include "paramserver/peer_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "common/http/server.h"
#include "paramserver/rest/handler.h"
#include "paramserver/testing/fake_job_service.h"

namespace elephas {
namespace {

using testing::HasSubstr;

// Counts what reaches server 0 and lets a test wait for it.
class PeerCoordinatorTest : public testing::Test {
 protected:
  PeerCoordinatorTest() {
    coordinator_.job.parameter_servers.replicas = 2;
    coordinator_.incarnation = Incarnation(5);
    own_.incarnation = Incarnation(0);
    auto server = HttpServer::Start({.address = "127.0.0.1"}, [this](HttpRequest& request) {
      const std::scoped_lock lock(mutex_);  // one call at a time: the fake is not thread-safe
      HttpReply reply = handler_.Handle(request);
      statuses_.push_back(reply.status);
      changed_.notify_all();
      return reply;
    });
    EXPECT_TRUE(server.ok());
    server_ = std::move(server).value();
  }
  PeerClient::Options Options(std::string token = "sesame") {
    return {.coordinator_url = "http://127.0.0.1:" + std::to_string(server_->port()),
            .token = std::move(token),
            .index = 1,
            .own_url = "http://127.0.0.1:1",
            .interval = std::chrono::milliseconds(100)};
  }
  void AwaitCalls(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return statuses_.size() >= count; });
  }

  FakeJobService coordinator_, own_;
  RestHandler handler_{coordinator_,
                       {.token = "sesame", .manifest = {}, .uid = "u", .server_index = 0}};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> statuses_;  // guarded by mutex_
  std::unique_ptr<HttpServer> server_;
};

TEST_F(PeerCoordinatorTest, APeerRegistersRestoresAndReportsWhatItTookUp) {
  PeerClient client(own_, Options());
  AwaitCalls(3);
  client.Stop();
  server_->Stop(std::chrono::milliseconds(1000));
  ASSERT_GE(coordinator_.calls.size(), 3);
  EXPECT_THAT(coordinator_.calls[0], HasSubstr("http://127.0.0.1:1 0 2"));
  EXPECT_THAT(coordinator_.calls[1], HasSubstr("http://127.0.0.1:1 5 2"));
  EXPECT_EQ(coordinator_.calls[1].substr(0, 39), coordinator_.calls[0].substr(0, 39))
      << "the boot id stays the same";
  EXPECT_THAT(own_.calls, testing::ElementsAre("restore 2"));
}

TEST_F(PeerCoordinatorTest, APeerKeepsTryingWhenItIsRefused) {
  PeerClient client(own_, Options("wrong"));
  AwaitCalls(2);
  client.Stop();
  server_->Stop(std::chrono::milliseconds(1000));
  EXPECT_EQ(statuses_[0], 401);
  EXPECT_TRUE(own_.calls.empty());
}

TEST_F(PeerCoordinatorTest, APeerStopsWhileServerZeroIsAway) {
  auto options = Options();
  server_.reset();
  PeerClient client(own_, options);
  client.Stop();
  EXPECT_TRUE(own_.calls.empty());
}

}  // namespace
}  // namespace elephas
