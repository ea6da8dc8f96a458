#include "common/http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <thread>

#include "common/http/server.h"
#include "common/http/testing/raw_peer.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr milliseconds kTimeout{5000};

// Listens on a free port and answers the first connection with fixed bytes, then closes it.
class CannedServer {
 public:
  explicit CannedServer(std::string answer) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    socklen_t length = sizeof(address);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this, text = std::move(answer)] {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      char buffer[4096];
      EXPECT_GT(::recv(fd, buffer, sizeof(buffer), 0), 0);
      EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(text.size()));
      ::shutdown(fd, SHUT_WR);
      while (::recv(fd, buffer, sizeof(buffer), 0) > 0) {
      }
      ::close(fd);
    });
  }
  ~CannedServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  int listener_;
  std::string url_;
  std::thread thread_;
};

Result<HttpResponse> GetCanned(std::string answer) {
  CannedServer server(std::move(answer));
  HttpClient client({.base_url = server.url()});
  return client.Send("GET", "/", {}, {}, kTimeout);
}

TEST(HttpClient, SendsTheTokenTheHeadersAndAllPiecesOfTheBody) {
  std::string seen;
  auto server = HttpServer::Start({.address = "127.0.0.1"}, [&](HttpRequest& request) {
    std::string body(request.content_length(), '\0');
    EXPECT_TRUE(request.ReadBody(std::as_writable_bytes(std::span(body))).ok());
    seen = std::string(*request.header("authorization")) + "|" +
           std::string(*request.header("x-a")) + "|" + body;
    HttpReply reply;
    reply.status = 201;
    reply.headers.emplace_back("ETag", "\"1.2\"");
    return reply;
  });
  ASSERT_TRUE(server.ok());
  HttpClient client(
      {.base_url = "http://127.0.0.1:" + std::to_string((*server)->port()), .token = "secret"});
  const std::string one = "one", two = "two";
  auto reply =
      client.Send("POST", "/p", {{"X-A", "b"}},
                  {std::as_bytes(std::span(one)), {}, std::as_bytes(std::span(two))}, kTimeout);
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(reply->status, 201);
  EXPECT_EQ(reply->headers.at("etag"), "\"1.2\"");
  EXPECT_EQ(seen, "Bearer secret|b|onetwo");
}

class HalvesSink final : public HttpClient::Sink {
 public:
  Result<std::span<std::byte>> Next(std::size_t remaining) override {
    ++calls;
    if (refuse) return Invalid("not wanted");
    const std::size_t piece = calls == 1 ? 8 : remaining;
    pieces.emplace_back(piece);
    return std::span(pieces.back());
  }
  int calls = 0;
  bool refuse = false;
  std::vector<std::vector<std::byte>> pieces;
};

TEST(HttpClient, FillsTheSinksMemoryPieceByPiece) {
  std::vector<std::byte> data(1 << 20);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  auto server = HttpServer::Start({.address = "127.0.0.1"}, [&](HttpRequest&) {
    HttpReply reply;
    reply.body = "12345678";
    reply.tail.emplace_back(data);
    return reply;
  });
  ASSERT_TRUE(server.ok());
  HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string((*server)->port())});
  for (int round = 0; round < 3; ++round) {
    HalvesSink sink;
    auto reply = client.Send("GET", "/", {}, {}, kTimeout, &sink);
    ASSERT_TRUE(reply.ok()) << reply.status().message();
    EXPECT_TRUE(reply->body.empty());
    ASSERT_EQ(sink.pieces.size(), 2);
    EXPECT_EQ(sink.pieces[0].size(), 8);
    EXPECT_EQ(sink.pieces[1], data);
  }
}

TEST(HttpClient, FailsWithTheSinksErrorAndWorksAgainAfterwards) {
  auto server = HttpServer::Start({.address = "127.0.0.1"}, [&](HttpRequest&) {
    HttpReply reply;
    reply.body = std::string(100000, 'x');
    return reply;
  });
  ASSERT_TRUE(server.ok());
  HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string((*server)->port())});
  HalvesSink sink;
  sink.refuse = true;
  EXPECT_THAT(client.Send("GET", "/", {}, {}, kTimeout, &sink).status().message(),
              HasSubstr("not wanted"));
  auto reply = client.Send("GET", "/", {}, {}, kTimeout);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->body.size(), 100000);
}

TEST(HttpClient, KeepsTheBodyOfAnErrorAwayFromTheSink) {
  auto server = HttpServer::Start({.address = "127.0.0.1"}, [&](HttpRequest&) {
    HttpReply reply;
    reply.status = 409;
    reply.body = "no";
    return reply;
  });
  ASSERT_TRUE(server.ok());
  HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string((*server)->port())});
  HalvesSink sink;
  auto reply = client.Send("GET", "/", {}, {}, kTimeout, &sink);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->status, 409);
  EXPECT_EQ(reply->body, "no");
  EXPECT_EQ(sink.calls, 0);
}

TEST(HttpClient, ReadsAnEarlyRefusalOfALargeBody) {
  auto server = HttpServer::Start({.address = "127.0.0.1"}, [&](HttpRequest&) {
    HttpReply reply;
    reply.status = 413;
    reply.body = "too much";
    return reply;
  });
  ASSERT_TRUE(server.ok());
  HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string((*server)->port())});
  const std::vector<std::byte> body(64 << 20);
  for (int round = 0; round < 3; ++round) {
    auto reply = client.Send("PUT", "/", {}, {std::span(body)}, kTimeout);
    ASSERT_TRUE(reply.ok()) << reply.status().message();
    EXPECT_EQ(reply->status, 413);
    EXPECT_EQ(reply->body, "too much");
  }
}

TEST(HttpClient, ConnectsAgainAfterTheServerClosedAnIdleConnection) {
  auto handler = [](HttpRequest&) { return HttpReply{}; };
  auto server = HttpServer::Start({.address = "127.0.0.1"}, handler);
  ASSERT_TRUE(server.ok());
  const auto port = (*server)->port();
  HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string(port)});
  ASSERT_TRUE(client.Send("GET", "/", {}, {}, kTimeout).ok());
  server->reset();
  auto gone = client.Send("GET", "/", {}, {}, kTimeout);
  EXPECT_EQ(gone.status().code(), Code::kUnavailable);
  auto again = HttpServer::Start({.address = "127.0.0.1", .port = port}, handler);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_TRUE(client.Send("GET", "/", {}, {}, kTimeout).ok());
}

TEST(HttpClient, SaysThatNobodyListens) {
  std::uint16_t port = 0;
  {
    auto server =
        HttpServer::Start({.address = "127.0.0.1"}, [](HttpRequest&) { return HttpReply{}; });
    ASSERT_TRUE(server.ok());
    port = (*server)->port();
  }
  HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string(port)});
  auto reply = client.Send("GET", "/x", {}, {}, kTimeout);
  EXPECT_EQ(reply.status().code(), Code::kUnavailable);
  EXPECT_THAT(reply.status().message(), HasSubstr("Connection refused"));
}

TEST(HttpClient, TimesOutWhenNoAnswerComes) {
  CannedServer silent("");
  HttpClient client({.base_url = silent.url()});
  // The canned server closes its side at once; a server that keeps quiet is one in a handler.
  EXPECT_EQ(client.Send("GET", "/", {}, {}, kTimeout).status().code(), Code::kUnavailable);
  auto slow = HttpServer::Start({.address = "127.0.0.1"}, [](HttpRequest&) {
    std::this_thread::sleep_for(milliseconds(300));
    return HttpReply{};
  });
  ASSERT_TRUE(slow.ok());
  HttpClient hasty({.base_url = "http://127.0.0.1:" + std::to_string((*slow)->port())});
  EXPECT_EQ(hasty.Send("GET", "/", {}, {}, milliseconds(50)).status().code(), Code::kTimeout);
}

struct Canned {
  const char* name;
  std::string answer;
  Code code;
};
// Issue 11: a server that sends one byte per half second kept a client for ever, each byte being
// progress.
TEST(HttpClient, ARequestHasOneDeadlineHoweverItsBytesArrive) {
  for (const char* at_once : {"", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"}) {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(::listen(listener, 8), 0);
    ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
    std::thread dripping([&] {
      const int fd = ::accept(listener, nullptr, nullptr);
      ::send(fd, at_once, std::strlen(at_once), MSG_NOSIGNAL);
      // Until the client has had enough.
      while (::send(fd, "x", 1, MSG_NOSIGNAL) == 1) {
        std::this_thread::sleep_for(milliseconds(20));
      }
      ::close(fd);
    });
    {
      HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)),
                         .request_timeout = milliseconds(200)});
      const auto reply = client.Send("GET", "/", {}, {}, kTimeout);
      EXPECT_EQ(reply.status().code(), Code::kTimeout) << at_once;
    }
    dripping.join();
    ::close(listener);
  }
}

class HttpClientRefuses : public testing::TestWithParam<Canned> {};
TEST_P(HttpClientRefuses, AnAnswerThatIsNotOne) {
  EXPECT_EQ(GetCanned(GetParam().answer).status().code(), GetParam().code);
}
INSTANTIATE_TEST_SUITE_P(
    HttpClient, HttpClientRefuses,
    testing::Values(
        Canned{"Garbage", "SSH-2.0-OpenSSH\r\n\r\n", Code::kInvalid},
        Canned{"HalfAHeader", "HTTP/1.1 200 OK\r\nContent-Le", Code::kUnavailable},
        Canned{"HalfABody", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Code::kUnavailable},
        Canned{"NoLength", "HTTP/1.1 200 OK\r\n\r\nabc", Code::kInvalid},
        Canned{"Chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
               Code::kInvalid},
        Canned{"EncodedAndWithALength",
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc",
               Code::kInvalid},
        Canned{"TwoEqualLengths",
               "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
               Code::kInvalid},
        Canned{"FoldedField", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 3\r\n\r\nabc",
               Code::kInvalid},
        Canned{"TooLong", "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n",
               Code::kInvalid}),
    [](const auto& row) { return row.param.name; });

TEST(HttpClient, SkipsInterimAnswers) {
  auto reply = GetCanned(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(reply->body, "ok");
}

TEST(HttpClient, TakesAnswersWithoutABody) {
  auto reply = GetCanned("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n");
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(reply->status, 304);
  EXPECT_TRUE(reply->body.empty());
}

TEST(HttpClient, RefusesAnAddressTargetOrHeaderThatWouldBreakTheRequest) {
  for (const char* url : {"https://127.0.0.1:1", "127.0.0.1:1", "http://", "http://:80",
                          "http://host:", "http://user@host", "http://[::1"}) {
    HttpClient client({.base_url = url});
    EXPECT_EQ(client.Send("GET", "/", {}, {}, kTimeout).status().code(), Code::kInvalid) << url;
  }
  HttpClient client({.base_url = "http://127.0.0.1:1"});
  for (const char* target : {"", "x", "/a b", "/a\r\nX: y"}) {
    EXPECT_EQ(client.Send("GET", target, {}, {}, kTimeout).status().code(), Code::kInvalid);
  }
  EXPECT_EQ(client.Send("GET", "/", {{"A", "b\r\nc"}}, {}, kTimeout).status().code(),
            Code::kInvalid);
}

}  // namespace
}  // namespace elephas
