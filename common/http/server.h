// A blocking HTTP/1.1 server: one thread per connection that has a request, Beast for headers,
// bodies read straight into the handler's memory. Bounds: header size, body size (by the handler,
// before anything is allocated), idle, header and progress timeouts, number of connections.
//
// A connection gets a thread when the header of its first request is there, and keeps it as long as
// requests follow each other within a second; one that says nothing or drips its header has none.
// When there are max_connections (or as many as the process may have descriptors, less some for
// the rest of the program), a new connection takes the place of one that has been silent or in the
// middle of a header for a second, else of the one that is idle for longest. When all are being
// served, or descriptors are used up, a new one is still asked what it wants: `health_paths` are
// answered by a thread and with descriptors kept for them, everything else with 503.
//
// What the server answers by itself, always {"error", "message"} in JSON and then a closed
// connection: 400 for bytes that are not HTTP or do not say clearly where the body ends (RFC 9112,
// 6.3), 408 for a header that does not arrive in time, 411 for a chunked body, 417 for an Expect
// other than 100-continue, 431 for a header that is too large, 503 for too many connections, 505
// for a version other than 1.0 and 1.1.
//
// HEAD is passed on and answered without the body. "100 Continue" is sent when the handler first
// reads the body, so that a refusal costs the client nothing. Requests may be pipelined. HTTP/1.0
// gets one reply per connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas {

// A request whose header has arrived. The body, if any, is still on the socket.
class HttpRequest {
 public:
  virtual ~HttpRequest() = default;
  [[nodiscard]] virtual std::string_view method() const = 0;
  [[nodiscard]] virtual std::string_view path() const = 0;  // percent-decoded, without the query
  // Percent-decoded value; nullopt when absent.
  [[nodiscard]] virtual std::optional<std::string> query(std::string_view name) const = 0;
  // Names of all query parameters, in order.
  [[nodiscard]] virtual std::vector<std::string> query_names() const = 0;
  [[nodiscard]] virtual std::optional<std::string_view> header(std::string_view name) const = 0;
  [[nodiscard]] virtual std::uint64_t content_length() const = 0;  // 0 when there is no body
  [[nodiscard]] virtual std::uint64_t body_left() const = 0;       // what ReadBody has not read
  // Reads exactly bytes.size() more of the body. kInvalid past its end or when the peer closed
  // early (truncated), kTimeout without progress.
  virtual Status ReadBody(std::span<std::byte> bytes) = 0;
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // Sent after `body` without copying; `keep_alive` owns the memory until it is sent.
  std::vector<std::span<const std::byte>> tail;
  std::shared_ptr<const void> keep_alive;
};

class HttpServer {
 public:
  struct Options {
    std::string address = "0.0.0.0";
    std::uint16_t port = 0;  // 0: any free one
    std::size_t max_connections = 4096;
    std::size_t max_header_bytes = 16384;
    // What must be answered quickly and without much, whoever else keeps the server busy.
    std::vector<std::string> health_paths{"/healthz", "/readyz"};
    std::chrono::milliseconds idle_timeout{120000};     // between requests
    std::chrono::milliseconds header_timeout{10000};    // for its first byte; then for all of it
    std::chrono::milliseconds progress_timeout{30000};  // within a body, without a byte
    // So many unread bytes of a body are read and thrown away to keep the connection.
    std::uint64_t drain_limit = std::uint64_t{1} << 20;
  };
  // Called on the connection's thread, so by several threads at once; must not throw (a
  // std::exception is answered with 500). What it leaves unread of a small body is
  // drained; with more than drain_limit left the connection is closed after the reply.
  using Handler = std::function<HttpReply(HttpRequest&)>;

  // kUnavailable "port 4000 is in use" and the like.
  static Result<std::unique_ptr<HttpServer>> Start(Options options, Handler handler);
  ~HttpServer();  // stops
  [[nodiscard]] std::uint16_t port() const;
  // Stops accepting, breaks idle connections, waits up to `grace` for requests that run, breaks the
  // rest and joins all threads. A handler must therefore end when its connection breaks or by a
  // deadline of its own. May be called twice.
  void Stop(std::chrono::milliseconds grace);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace elephas
