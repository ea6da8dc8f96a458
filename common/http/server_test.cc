#include "common/http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/base/mutex.h"
#include "common/http/client.h"
#include "common/http/testing/raw_peer.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// Answers with what it was asked: method, path, query "q" and the body, unless the path is /unread.
HttpReply Echo(HttpRequest& request) {
  HttpReply reply;
  if (request.path() == "/unread") {
    reply.body = "{}";
    return reply;
  }
  std::string body(request.content_length(), '\0');
  if (Status status = request.ReadBody(std::as_writable_bytes(std::span(body))); !status.ok()) {
    reply.status = 400;
    reply.body = status.message();
    return reply;
  }
  reply.content_type = "text/plain";
  reply.body.append(request.method()).append(" ").append(request.path());
  if (auto q = request.query("q")) reply.body.append(" q=").append(*q);
  if (!body.empty()) reply.body.append(" ").append(body);
  return reply;
}

std::unique_ptr<HttpServer> StartServer(HttpServer::Options options = {},
                                        HttpServer::Handler handler = Echo) {
  options.address = "127.0.0.1";
  auto server = HttpServer::Start(std::move(options), std::move(handler));
  EXPECT_TRUE(server.ok()) << server.status().message();
  return std::move(server).value();
}

TEST(HttpServer, AnswersSeveralRequestsOnOneConnection) {
  auto server = StartServer();
  RawPeer peer(server->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(peer.Say("GET /a?q=b%20c+d HTTP/1.1\r\nHost: x\r\n\r\n").ok());
    EXPECT_THAT(peer.ReadUntil("q=b c d"), StartsWith("HTTP/1.1 200 OK\r\n"));
  }
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  auto server = StartServer();
  RawPeer peer(server->port());
  const std::string answer = peer.Ask(
      "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
      "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto first = answer.find("POST /1 abc");
  const auto second = answer.find("GET /2");
  const auto third = answer.find("GET /3");
  ASSERT_NE(third, std::string::npos) << answer;
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
}

TEST(HttpServer, TakesARequestByteByByte) {
  auto server = StartServer();
  RawPeer peer(server->port());
  const std::string_view text =
      "PUT /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
  for (const char c : text) ASSERT_TRUE(peer.Say(std::string_view(&c, 1)).ok());
  EXPECT_THAT(peer.ReadToEnd(), EndsWith("PUT /slow ok"));
}

TEST(HttpServer, AnswersWhoSendsNoMoreThanAWrongLine) {
  auto server = StartServer();
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Say("GET / HTTP/1.1\r\nno field\r\n").ok());
  peer.stream().FinishWriting();
  EXPECT_THAT(peer.ReadToEnd(), StartsWith("HTTP/1.1 400"));
}

TEST(HttpServer, TakesABodyThatBeginsWithABlank) {
  auto server = StartServer();
  RawPeer peer(server->port());
  EXPECT_THAT(peer.Ask("PUT /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n"
                       "\r\n x "),
              EndsWith("PUT /b  x "));
}

TEST(HttpServer, LeavesTheBodyOutOfAnAnswerToHead) {
  auto server = StartServer();
  RawPeer peer(server->port());
  const std::string answer = peer.Ask("HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 7\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST(HttpServer, ClosesAfterAnHttp10Request) {
  auto server = StartServer();
  RawPeer peer(server->port());
  EXPECT_THAT(peer.Ask("GET /old HTTP/1.0\r\n\r\n"), EndsWith("GET /old"));
  EXPECT_TRUE(peer.closed());
}

// A request whose body somebody else may take for a second request.
std::string Put(const std::string& fields, std::string_view body) {
  std::string text = "PUT / HTTP/1.1\r\nHost: x\r\n";
  text.append(fields).append("\r\n\r\n").append(body);
  return text;
}
constexpr std::string_view kNoChunks = "0\r\n\r\n";

struct Refusal {
  const char* name;
  std::string request;
  int status;
};
class HttpServerRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(HttpServerRefuses, WithAStatusAndStaysUp) {
  HttpServer::Options options;
  options.header_timeout = milliseconds(300);
  auto server = StartServer(options);
  RawPeer peer(server->port());
  const std::string answer = peer.Ask(GetParam().request);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(GetParam().status) + " "));
  EXPECT_THAT(answer, HasSubstr("{\"error\":\""));
  EXPECT_TRUE(peer.closed());
  RawPeer next(server->port());
  EXPECT_THAT(next.Ask("GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              EndsWith("GET /ok"));
}

INSTANTIATE_TEST_SUITE_P(
    HttpServer, HttpServerRefuses,
    testing::Values(
        Refusal{"Garbage", "\x16\x03\x01\x02garbage\r\n\r\n", 400},
        Refusal{"Zeros", std::string(100, '\0') + "\r\n\r\n", 400},
        Refusal{"NoHost", "GET / HTTP/1.1\r\n\r\n", 400},
        Refusal{"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        Refusal{"BrokenEscape", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Refusal{"NegativeLength", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
        Refusal{"HugeLength",
                "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                400},
        Refusal{"TwoLengths",
                "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        Refusal{
            "LengthAndChunked",
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400},
        Refusal{"TwoEqualLengths", Put("Content-Length: 3\r\nContent-Length: 3", "abc"), 400},
        Refusal{"ListOfEqualLengths", Put("Content-Length: 3, 3", "abc"), 400},
        Refusal{"SignedLength", Put("Content-Length: +3", "abc"), 400},
        Refusal{"HexLength", Put("Content-Length: 0x3", "abc"), 400},
        Refusal{"EmptyLength", Put("Content-Length:", "abc"), 400},
        Refusal{"LengthWithASpace", Put("Content-Length: 1 0", "abc"), 400},
        Refusal{"LengthThatWrapsAround", Put("Content-Length: 18446744073709551619", "abc"), 400},
        Refusal{"ChunkedIsNotLast", Put("Transfer-Encoding: chunked, identity", "abc"), 400},
        Refusal{"NotQuiteChunked", Put("Transfer-Encoding: xchunked", "abc"), 400},
        Refusal{"NotQuiteChunkedWithALength",
                Put("Transfer-Encoding: xchunked\r\nContent-Length: 3", "abc"), 400},
        Refusal{"Identity", Put("Transfer-Encoding: identity\r\nContent-Length: 3", "abc"), 400},
        Refusal{"ChunkedTwice", Put("Transfer-Encoding: chunked, chunked", kNoChunks), 400},
        Refusal{"ChunkedInTwoFields",
                Put("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", kNoChunks), 400},
        Refusal{"CompressedAndChunked", Put("Transfer-Encoding: gzip, chunked", kNoChunks), 400},
        Refusal{"EmptyCoding", Put("Transfer-Encoding:\r\nContent-Length: 3", "abc"), 400},
        Refusal{"ChunkedBehindATab", Put("Transfer-Encoding:\tchunked", kNoChunks), 411},
        Refusal{"ChunkedFolded", Put("Transfer-Encoding:\r\n chunked", kNoChunks), 400},
        Refusal{"AnyFieldFolded", Put("A: b\r\n\tContent-Length: 3", "abc"), 400},
        Refusal{"FirstFieldBehindABlank", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
        Refusal{"ChunkedBehindAFormFeed", Put("Transfer-Encoding: \fchunked", kNoChunks), 400},
        Refusal{"ChunkedInHttp10", "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                400},
        Refusal{"SpaceBeforeTheColon", Put("Content-Length : 3", "abc"), 400},
        Refusal{"SpaceBeforeTheName", Put(" Content-Length: 3", "abc"), 400},
        Refusal{"NoColon", Put("Content-Length 3", "abc"), 400},
        Refusal{"NoName", Put(": 3", "abc"), 400},
        Refusal{"BareLineFeeds", "GET / HTTP/1.1\nHost: x\n\n", 400},
        Refusal{"BareLineFeedInAField", Put("A: b\nContent-Length: 3", "abc"), 400},
        Refusal{"BareCarriageReturnInAField", Put("A: b\rContent-Length: 3", "abc"), 400},
        Refusal{"ZeroInAField", Put(std::string("A: b\0c", 6), ""), 400},
        Refusal{"TwoSpacesBeforeTheTarget", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Refusal{"SpaceInTheTarget", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Refusal{"SpaceAfterTheVersion", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
        Refusal{"OneWrongLine", "GET / HTTQ/1.1\r\n", 400},
        Refusal{"NoVersion", "GET /\r\nHost: x\r\n\r\n", 400},
        Refusal{"Chunked",
                "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
        Refusal{"LargeHeader",
                "GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(20000, 'a') + "\r\n\r\n", 431},
        Refusal{"ManyHeaders",
                [] {
                  std::string text = "GET / HTTP/1.1\r\nHost: x\r\n";
                  for (int i = 0; i < 5000; ++i) text += "a: b\r\n";
                  return text + "\r\n";
                }(),
                431},
        Refusal{"LongTarget", "GET /" + std::string(20000, 'a') + " HTTP/1.1\r\n\r\n", 431},
        Refusal{"FutureVersion", "GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
        Refusal{"StrangeExpect", "GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417},
        Refusal{"HeaderThatNeverEnds", "GET / HTTP/1.1\r\nHost:", 408}),
    [](const auto& row) { return row.param.name; });

TEST(HttpServer, GivesAHeaderADeadlineThatTrickledBytesDoNotMove) {
  HttpServer::Options options;
  options.header_timeout = milliseconds(200);
  auto server = StartServer(options);
  RawPeer peer(server->port());
  std::atomic<bool> answered = false;
  std::thread trickle([&] {
    (void)peer.Say("GET / HTTP/1.1\r\n");
    while (!answered) {
      if (!peer.Say("a: b\r\n").ok()) return;
      std::this_thread::sleep_for(milliseconds(20));
    }
  });
  EXPECT_THAT(peer.ReadUntil("\r\n"), StartsWith("HTTP/1.1 408"));
  answered = true;
  trickle.join();
}

TEST(HttpServer, AnswersABodyThatBreaksOff) {
  auto server = StartServer();
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Say("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort").ok());
  peer.stream().FinishWriting();
  EXPECT_THAT(peer.ReadToEnd(), HasSubstr("truncated"));
  EXPECT_TRUE(peer.closed());
}

TEST(HttpServer, GivesUpOnABodyThatStalls) {
  HttpServer::Options options;
  options.progress_timeout = milliseconds(100);
  auto server = StartServer(options);
  RawPeer peer(server->port());
  EXPECT_THAT(peer.Ask("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort"),
              HasSubstr("no progress"));
}

TEST(HttpServer, AsksForTheBodyOnlyWhenTheHandlerReadsIt) {
  auto server = StartServer();
  RawPeer peer(server->port());
  ASSERT_TRUE(
      peer.Say("PUT /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
          .ok());
  EXPECT_EQ(peer.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(peer.Say("ok").ok());
  EXPECT_THAT(peer.ReadUntil("PUT /e ok"), StartsWith("HTTP/1.1 200"));

  RawPeer refused(server->port());
  EXPECT_THAT(
      refused.Ask(
          "PUT /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"),
      StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(refused.closed());
}

TEST(HttpServer, KeepsTheConnectionWhenASmallBodyStaysUnread) {
  auto server = StartServer();
  RawPeer peer(server->port());
  const std::string body(1000, 'b');
  const std::string answer =
      peer.Ask("PUT /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + body +
               "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, EndsWith("GET /next"));
}

TEST(HttpServer, ClosesAfterALargeUnreadBodyYetTheReplyArrives) {
  HttpServer::Options options;
  options.drain_limit = 1000;
  auto server = StartServer(options);
  RawPeer peer(server->port());
  const std::string answer =
      peer.Ask("PUT /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" +
               std::string(5000000, 'b'));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_TRUE(peer.closed());
}

TEST(HttpServer, ClosesAnIdleConnection) {
  HttpServer::Options options;
  options.idle_timeout = milliseconds(50);
  auto server = StartServer(options);
  RawPeer peer(server->port());
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
  EXPECT_TRUE(peer.closed());
}

TEST(HttpServer, AnswersAnExceptionOfTheHandlerWith500) {
  auto server = StartServer({}, [](HttpRequest&) -> HttpReply { throw std::bad_alloc(); });
  RawPeer peer(server->port());
  EXPECT_THAT(peer.Ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 500"));
}

TEST(HttpServer, NamesThePortThatIsInUse) {
  auto server = StartServer();
  HttpServer::Options options;
  options.address = "127.0.0.1";
  options.port = server->port();
  auto second = HttpServer::Start(options, Echo);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
  EXPECT_EQ(second.status().message(), "port " + std::to_string(server->port()) + " is in use");
}

TEST(HttpServer, RefusesAnAddressThatIsNotOne) {
  HttpServer::Options options;
  options.address = "not an address";
  EXPECT_EQ(HttpServer::Start(options, Echo).status().code(), Code::kInvalid);
}

// A handler that waits until the test lets it go.
class Gate {
 public:
  HttpReply Pass(HttpRequest&) {
    const MutexLock lock(mutex_);
    ++inside_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mutex_);
    HttpReply reply;
    reply.body = "passed";
    return reply;
  }
  void AwaitInside(int count) {
    const MutexLock lock(mutex_);
    while (inside_ < count) changed_.Wait(mutex_);
  }
  void Open() {
    const MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int inside_ ELEPHAS_GUARDED_BY(mutex_) = 0;
  bool open_ ELEPHAS_GUARDED_BY(mutex_) = false;
};

TEST(HttpServer, FinishesRunningRequestsWhenItStopsAndBreaksIdleConnections) {
  Gate gate;
  auto server = StartServer({}, [&](HttpRequest& request) { return gate.Pass(request); });
  RawPeer idle(server->port());
  RawPeer busy(server->port());
  ASSERT_TRUE(busy.Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n").ok());
  gate.AwaitInside(1);
  std::thread stop([&] { server->Stop(milliseconds(10000)); });
  EXPECT_THAT(idle.ReadToEnd(), IsEmpty());
  EXPECT_TRUE(idle.closed());
  gate.Open();
  EXPECT_THAT(busy.ReadToEnd(), EndsWith("passed"));
  stop.join();
  EXPECT_FALSE(RawPeer(server->port()).connected());
}

TEST(HttpServer, BreaksABodyThatNeverComesWhenTheGraceIsOver) {
  auto server = StartServer();
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Say("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
                       "10\r\n\r\n")
                  .ok());
  ASSERT_THAT(peer.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 100"));
  server->Stop(milliseconds(10));
  EXPECT_THAT(peer.ReadToEnd(), Not(HasSubstr("200 OK")));
  EXPECT_TRUE(peer.closed());
}

TEST(HttpServer, ServesManyClientsAtOnce) {
  auto server = StartServer();
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&, t] {
      HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string(server->port())});
      const std::string body(1000 * (t + 1), static_cast<char>('a' + t));
      for (int i = 0; i < 20; ++i) {
        auto reply =
            client.Send("PUT", "/x", {}, {std::as_bytes(std::span(body))}, milliseconds(10000));
        if (reply.ok() && reply->body == "PUT /x " + body) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 16 * 20);
}

}  // namespace
}  // namespace elephas
