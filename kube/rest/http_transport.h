// One HTTPS connection pool to an API server. The only file of the project that knows cpprestsdk is
// http_transport.cc; its exceptions end there.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "kube/config/rest_config.h"

namespace elephas::kube {

struct HttpCall {
  std::string method;  // GET, POST, PUT, PATCH, DELETE
  std::string target;  // path and query, escaped
  std::string content_type = {};
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

struct HttpAnswer {
  int status = 0;
  std::string body = {};
  std::chrono::milliseconds retry_after{0};  // zero: the answer does not say
};

struct StreamLimits {
  std::chrono::milliseconds first_byte{30'000};  // until the answer's header
  std::chrono::milliseconds silence{90'000};     // between two pieces
  std::chrono::milliseconds duration{0};         // of all; then the stream just ends. 0: no limit
};

// Thread-safe. Errors are kUnavailable (no connection, a certificate that does not fit, an answer
// cut short), kTimeout, and kInvalid for an answer of more than max_answer_bytes, with the reason in
// words; an HTTP error is an answer.
class HttpTransport {
 public:
  struct Options {
    std::size_t max_answer_bytes = std::size_t{64} << 20;
    // Threads of cpprestsdk, for the whole process; the first transport decides.
    int io_threads = 2;
  };
  // kInvalid: a certificate, key or address that cannot be read.
  static Result<std::unique_ptr<HttpTransport>> Make(const RestConfig& config,
                                                     const Options& options);
  static Result<std::unique_ptr<HttpTransport>> Make(const RestConfig& config) {
    return Make(config, Options{});
  }
  ~HttpTransport();
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  // Blocks until the whole answer is here, or `timeout` has passed.
  Result<HttpAnswer> Call(const HttpCall& call, std::chrono::milliseconds timeout);

  // Blocks while the server sends. The pieces of a 200 go to `sink`, on this thread, and the
  // answer's body stays empty; any other answer is read as Call does. Ok: the server ended the
  // stream, the duration is over, or `sink` (by false) or `stop` ended it.
  using Sink = std::function<bool(std::string_view piece)>;
  Result<HttpAnswer> Stream(const HttpCall& call, const StreamLimits& limits, const Sink& sink,
                            const std::stop_token& stop);

 private:
  struct Impl;
  explicit HttpTransport(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace elephas::kube
