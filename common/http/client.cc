#include "common/http/client.h"

#include <algorithm>
#include <boost/beast/http/field.hpp>
#include <limits>
#include <optional>

#include "common/http/deadline_stream.h"
#include "common/http/stream.h"

namespace elephas {
namespace {

namespace http = boost::beast::http;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kMaxHeaderBytes = 16384;

struct Authority {
  std::string host, port;
  std::string text;  // as it stands in the URL, for the Host header
};

std::optional<Authority> ParseBaseUrl(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  if (url.ends_with('/')) url.remove_suffix(1);
  if (url.empty() || url.find_first_of("/?#@ \r\n") != std::string_view::npos) return std::nullopt;
  Authority authority{.host = {}, .port = "80", .text = std::string(url)};
  std::string_view rest;
  if (url.front() == '[') {  // [::1]:4000
    const auto close = url.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    authority.host = url.substr(1, close - 1);
    rest = url.substr(close + 1);
  } else {
    const auto colon = std::min(url.find(':'), url.size());
    authority.host = url.substr(0, colon);
    rest = url.substr(colon);
  }
  if (!rest.empty()) {
    if (rest.front() != ':' || rest.size() < 2) return std::nullopt;
    authority.port = rest.substr(1);
  }
  if (authority.host.empty()) return std::nullopt;
  return authority;
}

bool BreaksHeader(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

struct HttpClient::Impl {
  Options options;
  std::optional<Authority> authority;
  std::optional<HttpStream> stream;
  SteadyClock::time_point deadline = SteadyClock::time_point::max();  // of the call under way

  [[nodiscard]] SteadyClock::time_point Until(std::chrono::milliseconds wait) const {
    return std::min(SteadyClock::now() + wait, deadline);
  }

  Status EnsureConnected() {
    if (stream && stream->buffer_empty() && stream->stream().IdleAndOpen()) return OkStatus();
    stream.reset();
    ELEPHAS_ASSIGN_OR_RETURN(
        auto connected,
        DeadlineStream::Connect(authority->host, authority->port, Until(options.connect_timeout)));
    stream.emplace(std::move(connected), kMaxHeaderBytes);
    return OkStatus();
  }

  Result<std::string> RequestHead(std::string_view method, std::string_view target,
                                  const std::vector<std::pair<std::string, std::string>>& headers,
                                  const std::vector<std::span<const std::byte>>& body) const {
    if (target.empty() || target.front() != '/' || BreaksHeader(target) ||
        target.find(' ') != std::string_view::npos) {
      return Invalid("not a request target: " + std::string(target));
    }
    std::size_t length = 0;
    for (const auto& piece : body) length += piece.size();
    std::string head;
    head.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ");
    head.append(authority->text).append("\r\n");
    if (!options.token.empty()) {
      if (BreaksHeader(options.token)) return Invalid("the token holds a line break");
      head.append("Authorization: Bearer ").append(options.token).append("\r\n");
    }
    for (const auto& [name, value] : headers) {
      if (BreaksHeader(name) || BreaksHeader(value)) return Invalid("header " + name + " breaks");
      head.append(name).append(": ").append(value).append("\r\n");
    }
    if (length > 0 || method == "POST" || method == "PUT") {
      head.append("Content-Length: ").append(std::to_string(length)).append("\r\n");
    }
    head.append("\r\n");
    return head;
  }

  // Reads reply headers until a final one (1xx are skipped).
  Result<HttpResponse> ReadReplyHeader(std::optional<std::uint64_t>& length, bool& keep_alive,
                                       std::chrono::milliseconds timeout) {
    for (;;) {
      http::response_parser<http::empty_body> parser;
      parser.header_limit(kMaxHeaderBytes);
      parser.body_limit(std::numeric_limits<std::uint64_t>::max());
      boost::beast::error_code error;
      if (Status status = stream->ReadHeader(parser, Until(timeout), error); !status.ok()) {
        return status.code() == Code::kNotFound ? Unavailable(status.message()) : status;
      }
      const auto& message = parser.get();
      if (message.result_int() / 100 == 1) continue;
      HttpResponse response;
      response.status = static_cast<int>(message.result_int());
      for (const auto& field : message) {
        const auto name = field.name_string();
        const auto value = field.value();
        response.headers.emplace(Lower({name.data(), name.size()}),
                                 std::string(value.data(), value.size()));
      }
      if (message.count(http::field::transfer_encoding) > 0) {
        return Invalid("chunked and otherwise encoded replies are not understood");
      }
      if (message.count(http::field::content_length) > 1) {
        return Invalid("the reply has more than one Content-Length");
      }
      if (auto announced = parser.content_length()) length = *announced;
      keep_alive = message.keep_alive();
      return response;
    }
  }

  Status ReadIntoSink(std::uint64_t length, Sink& sink, std::chrono::milliseconds timeout) {
    while (length > 0) {
      ELEPHAS_ASSIGN_OR_RETURN(const std::span<std::byte> piece, sink.Next(length));
      if (piece.empty() || piece.size() > length) {
        return Internal("a sink gave a piece of " + std::to_string(piece.size()) + " bytes");
      }
      ELEPHAS_RETURN_IF_ERROR(ReadBody(piece, timeout));
      length -= piece.size();
    }
    return OkStatus();
  }

  // A reply that ends early is a broken connection, not a wrong one.
  Status ReadBody(std::span<std::byte> bytes, std::chrono::milliseconds timeout) {
    Status status = stream->ReadExactly(bytes, timeout, deadline);
    return status.code() == Code::kInvalid ? Unavailable(status.message()) : status;
  }

  Result<HttpResponse> Exchange(std::string_view method, const std::string& head,
                                const std::vector<std::span<const std::byte>>& body,
                                std::chrono::milliseconds timeout, Sink* sink, bool& reusable) {
    ELEPHAS_RETURN_IF_ERROR(EnsureConnected());
    std::vector<std::span<const std::byte>> pieces{AsBytes(head)};
    pieces.insert(pieces.end(), body.begin(), body.end());
    bool interrupted = false;
    ELEPHAS_RETURN_IF_ERROR(stream->stream().WriteAll(pieces, timeout, &interrupted, deadline));

    std::optional<std::uint64_t> length;
    bool keep_alive = false;
    ELEPHAS_ASSIGN_OR_RETURN(HttpResponse response, ReadReplyHeader(length, keep_alive, timeout));
    const bool bodiless = method == "HEAD" || response.status == 204 || response.status == 304;
    if (!bodiless) {
      if (!length) return Invalid("the reply has no Content-Length");
      if (sink != nullptr && response.status / 100 == 2) {
        ELEPHAS_RETURN_IF_ERROR(ReadIntoSink(*length, *sink, timeout));
      } else {
        if (*length > options.max_body) {
          return Invalid("the reply has " + std::to_string(*length) + " bytes, more than " +
                         std::to_string(options.max_body));
        }
        response.body.resize(*length);
        ELEPHAS_RETURN_IF_ERROR(
            ReadBody(std::as_writable_bytes(std::span(response.body)), timeout));
      }
    }
    reusable = keep_alive && !interrupted;
    return response;
  }
};

HttpClient::HttpClient(Options options) : impl_(std::make_unique<Impl>()) {
  impl_->authority = ParseBaseUrl(options.base_url);
  impl_->options = std::move(options);
}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::Send(
    std::string_view method, std::string_view target,
    const std::vector<std::pair<std::string, std::string>>& headers,
    const std::vector<std::span<const std::byte>>& body, std::chrono::milliseconds timeout,
    Sink* sink) {
  if (!impl_->authority) return Invalid("not an http:// address: " + impl_->options.base_url);
  ELEPHAS_ASSIGN_OR_RETURN(const std::string head,
                           impl_->RequestHead(method, target, headers, body));
  const auto whole = impl_->options.request_timeout;
  impl_->deadline = whole.count() > 0 ? SteadyClock::now() + whole : SteadyClock::time_point::max();
  bool reusable = false;
  auto response = impl_->Exchange(method, head, body, timeout, sink, reusable);
  if (!reusable) impl_->stream.reset();
  if (response.ok()) return response;
  return response.status().Annotate(std::string(method) + " " + impl_->options.base_url +
                                    std::string(target));
}

}  // namespace elephas
