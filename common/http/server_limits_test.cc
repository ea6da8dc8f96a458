// What an HttpServer spends on those who do not ask anything, and who is answered all the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <filesystem>
#include <list>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/http/server.h"
#include "common/http/testing/raw_peer.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::string_view kAsk = "GET /ask HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::string_view kHealth = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

std::size_t Threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

// Tries until it holds; the test's own time limit ends what never does.
template <typename Condition>
bool Eventually(Condition holds) {
  for (int i = 0; i < 1000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

// /hold is answered once the test says so, everything else at once.
class Fixture : public testing::Test {
 protected:
  ~Fixture() override { LetGo(); }
  void Start(HttpServer::Options options = {}) {
    options.address = "127.0.0.1";
    auto server = HttpServer::Start(options, [this](HttpRequest& request) {
      HttpReply reply;
      reply.body = request.path();
      if (request.path() != "/hold") return reply;
      const MutexLock lock(mutex_);
      ++held_;
      changed_.NotifyAll();
      while (!let_go_) changed_.Wait(mutex_);
      return reply;
    });
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
  }
  RawPeer& Connect() { return peers_.emplace_back(server_->port()); }
  // A connection that is being served until the test ends.
  void Hold() {
    ASSERT_TRUE(Connect().Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").ok());
    AwaitHeld(++asked_);
  }
  // Fails when it takes longer than 20 s until so many are being served.
  void AwaitHeld(int count) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (held_ != count && changed_.WaitUntil(mutex_, deadline)) {
    }
    ASSERT_EQ(held_, count);
  }
  void LetGo() {
    const MutexLock lock(mutex_);
    let_go_ = true;
    changed_.NotifyAll();
  }
  // The reply to one request on a connection that stays open.
  static std::string Reply(RawPeer& peer, std::string_view request, std::string_view end) {
    return peer.Say(request).ok() ? peer.ReadUntil(end) : "(could not send)";
  }

  std::list<RawPeer> peers_;
  Mutex mutex_;
  CondVar changed_;
  int asked_ = 0;  // of the test's thread
  int held_ ELEPHAS_GUARDED_BY(mutex_) = 0;
  bool let_go_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::unique_ptr<HttpServer> server_;
};
using HttpServerLimits = Fixture;

// 400 connections that said nothing were 400 threads of the operator.
TEST_F(HttpServerLimits, WhoSaysNothingOrDripsItsHeaderCostsNoThread) {
  Start();
  const std::size_t threads = Threads();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(Connect().connected());
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(Connect().Say("GET /slow HTTP/1.1\r\nHost").ok());
  // Connections are taken in order, so all of them have been taken when this is answered.
  RawPeer& last = Connect();
  EXPECT_THAT(Reply(last, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
  EXPECT_LE(Threads(), threads + 1);
}

TEST_F(HttpServerLimits, AnIdleConnectionGivesItsThreadBackAndMayAskAgain) {
  Start();
  const std::size_t threads = Threads();
  RawPeer& peer = Connect();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Reply(peer, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
    EXPECT_TRUE(Eventually([&] { return Threads() == threads; }));
  }
}

TEST_F(HttpServerLimits, AnIdleConnectionIsClosedAfterItsTimeInAll) {
  HttpServer::Options options;
  options.idle_timeout = milliseconds(1500);
  Start(options);
  RawPeer& peer = Connect();
  EXPECT_THAT(Reply(peer, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
  EXPECT_TRUE(peer.closed());
}

TEST_F(HttpServerLimits, ASilentConnectionIsClosedAsSoonAsAHeaderShouldHaveCome) {
  HttpServer::Options options;
  options.header_timeout = milliseconds(50);
  Start(options);
  RawPeer& peer = Connect();
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
  EXPECT_TRUE(peer.closed());
}

// 16 silent connections to a port for metrics made it answer 503 for two minutes.
TEST_F(HttpServerLimits, ANewConnectionTakesTheSeatOfASilentOne) {
  HttpServer::Options options;
  options.max_connections = 4;
  Start(options);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Connect().connected());
  RawPeer& last = Connect();
  EXPECT_THAT(Reply(last, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(peers_.front().ReadToEnd(), IsEmpty());
  EXPECT_TRUE(peers_.front().closed());
}

TEST_F(HttpServerLimits, ANewConnectionTakesTheSeatOfTheOneThatIsIdleForLongest) {
  HttpServer::Options options;
  options.max_connections = 2;
  Start(options);
  RawPeer& oldest = Connect();
  RawPeer& second = Connect();
  const std::size_t threads = Threads();
  for (RawPeer* peer : {&oldest, &second}) {
    EXPECT_THAT(Reply(*peer, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
    // The server takes it for idle once it has given the thread back.
    ASSERT_TRUE(Eventually([&] { return Threads() == threads; }));
  }
  RawPeer& third = Connect();
  EXPECT_THAT(Reply(third, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(oldest.ReadToEnd(), IsEmpty());
  EXPECT_TRUE(oldest.closed());
  EXPECT_THAT(Reply(second, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerLimits, ANewConnectionTakesTheSeatOfOneThatDripsItsHeader) {
  HttpServer::Options options;
  options.max_connections = 2;
  Start(options);
  // One has no thread yet, one has had an answer before.
  ASSERT_TRUE(Connect().Say("GET /slow HTTP/1.1\r\nHost").ok());
  RawPeer& known = Connect();
  EXPECT_THAT(Reply(known, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
  ASSERT_TRUE(known.Say("GET /slow HTTP/1.1\r\nHost").ok());
  // Both may take a second over it.
  EXPECT_TRUE(Eventually([&] {
    return RawPeer(server_->port())
        .Ask("GET /ask HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .starts_with("HTTP/1.1 200");
  }));
}

TEST_F(HttpServerLimits, WhenAllAreServedHealthIsAnsweredAndTheRestIsToldSo) {
  HttpServer::Options options;
  options.max_connections = 2;
  Start(options);
  for (int i = 0; i < 2; ++i) Hold();
  const std::string refusal = Connect().Ask(kAsk);
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(refusal, HasSubstr("too many connections"));
  EXPECT_THAT(refusal, HasSubstr("Retry-After"));
  // Others that wait for no seat do not keep it from being asked.
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Connect().connected());
  for (int i = 0; i < 3; ++i) {
    const std::string answer = Connect().Ask(kHealth);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(answer, HasSubstr("Connection: close"));
    EXPECT_THAT(answer, EndsWith("/healthz"));
  }
  EXPECT_THAT(Connect().Ask("HEAD /readyz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Connect().Ask("POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
              StartsWith("HTTP/1.1 503"));
  LetGo();
  RawPeer& last = Connect();
  EXPECT_TRUE(Eventually([&] {
    return RawPeer(server_->port())
        .Ask("GET /ask HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .starts_with("HTTP/1.1 200");
  }));
  (void)last;
}

TEST_F(HttpServerLimits, WhoIsTurnedAwayIsToldEvenWhenItNeverAsks) {
  HttpServer::Options options;
  options.max_connections = 1;
  Start(options);
  Hold();
  EXPECT_THAT(Connect().ReadToEnd(), StartsWith("HTTP/1.1 503"));
}

TEST_F(HttpServerLimits, StopsWhileConnectionsWaitInEveryRoom) {
  HttpServer::Options options;
  options.max_connections = 3;
  Start(options);
  Hold();
  ASSERT_TRUE(Connect().Say("GET /slow").ok());
  RawPeer& idle = Connect();
  EXPECT_THAT(Reply(idle, kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
  LetGo();
  server_->Stop(milliseconds(10000));
  for (RawPeer& peer : peers_) {
    (void)peer.ReadToEnd();
    EXPECT_TRUE(peer.closed());
  }
}

// The process has no descriptors left; sockets of clients were made before, as both ends live here.
class HttpServerWithoutDescriptors : public Fixture {
 protected:
  void SetUp() override { ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0); }
  void TearDown() override {
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0);
    for (const int fd : sockets_) ::close(fd);
  }
  void MakeSockets(int count) {
    for (int i = 0; i < count; ++i) {
      sockets_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ASSERT_GE(sockets_.back(), 0);
    }
  }
  // Leaves room for `more` descriptors.
  void LimitDescriptors(int more) {
    std::vector<int> taken;
    for (int i = 0; i <= more; ++i) taken.push_back(::dup(sockets_.front()));
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(taken.back());
    for (const int fd : taken) ::close(fd);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  RawPeer& ConnectOne() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = sockets_.back();
    sockets_.pop_back();
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return peers_.emplace_back(DeadlineStream(fd));
  }
  rlimit before_{};
  std::vector<int> sockets_;
};

TEST_F(HttpServerWithoutDescriptors, ANewConnectionTakesTheOneOfASilentOne) {
  Start();
  MakeSockets(12);
  LimitDescriptors(3);
  for (int i = 0; i < 10; ++i) ConnectOne();
  EXPECT_THAT(Reply(ConnectOne(), kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerWithoutDescriptors, HealthIsAnsweredWhenAllOthersAreServed) {
  Start();
  MakeSockets(12);
  LimitDescriptors(3);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(ConnectOne().Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").ok());
  }
  AwaitHeld(3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(ConnectOne().Ask(kHealth), EndsWith("/healthz"));
  }
  EXPECT_THAT(ConnectOne().Ask(kAsk), StartsWith("HTTP/1.1 503"));
  LetGo();
}

TEST_F(HttpServerWithoutDescriptors, SomeAreLeftToTheRestOfTheProgram) {
  MakeSockets(40);
  LimitDescriptors(60);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  Start();
  for (int i = 0; i < 40; ++i) ConnectOne();
  EXPECT_THAT(Reply(peers_.back(), kAsk, "/ask"), StartsWith("HTTP/1.1 200"));
  const int fd = ::dup(0);
  EXPECT_GE(fd, 0);
  ::close(fd);
}

}  // namespace
}  // namespace elephas
