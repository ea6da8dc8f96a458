// A small blocking HTTP/1.1 client for parameter traffic: Beast reads the header, the body goes
// straight between socket and the caller's memory. One connection per client, kept alive and opened
// again when it broke.
//
// Not thread-safe: one client per thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas {

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case
  std::string body;                                         // empty when a sink took it
};

class HttpClient {
 public:
  struct Options {
    std::string base_url = {};  // "http://127.0.0.1:4000"; only http
    std::string token = {};     // sent as "Authorization: Bearer …" when not empty
    std::chrono::milliseconds connect_timeout{2000};
    // Of a whole call, connecting and the last byte of the reply included; zero: each wait has its
    // own bound and no sum of them counts. A server that sends a byte now and then ends by it only.
    std::chrono::milliseconds request_timeout{0};
    std::size_t max_body = std::size_t{64} << 20;  // of a reply without a sink
  };
  // Takes the body of a 2xx reply, piece by piece. A sink that must look at the first bytes returns
  // a small piece for them first. Not asked when the body is empty.
  class Sink {
   public:
    virtual ~Sink() = default;
    // Returns the next piece of memory to fill (not empty, at most `remaining` bytes), or an error
    // that fails the call. `remaining` is Content-Length at first; asked again after each filled
    // piece until no bytes are left.
    virtual Result<std::span<std::byte>> Next(std::size_t remaining) = 0;
  };

  explicit HttpClient(Options options);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();

  // Sends `body` pieces one after another with one Content-Length. `timeout` bounds each wait: for
  // the socket to take more, for the reply's header, for more of its body. When the server answers
  // before it has read the whole body, the rest is not sent. kUnavailable: could not connect or the
  // connection broke (the request may or may not have been carried out); kTimeout; kInvalid: the
  // reply was not HTTP, or too long. A reply with any status is a value. Nothing is sent twice.
  Result<HttpResponse> Send(std::string_view method, std::string_view target,
                            const std::vector<std::pair<std::string, std::string>>& headers,
                            const std::vector<std::span<const std::byte>>& body,
                            std::chrono::milliseconds timeout, Sink* sink = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace elephas
