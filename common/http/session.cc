#include "common/http/session.h"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/status.hpp>
#include <ctime>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

#include "common/http/reply.h"
#include "common/http/target.h"

namespace elephas {
namespace {

namespace http = boost::beast::http;
using SteadyClock = std::chrono::steady_clock;
using Parser = http::request_parser<http::empty_body>;

constexpr std::chrono::seconds kDrainTime{5};
constexpr std::chrono::seconds kLingerTime{2};

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

// "Sun, 06 Nov 1994 08:49:37 GMT", formatted once a second.
std::string_view HttpDate() {
  thread_local std::time_t formatted = 0;
  thread_local char text[40] = "";
  if (const std::time_t now = std::time(nullptr); now != formatted) {
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    formatted = now;
  }
  return text;
}

std::string ReplyHead(const HttpReply& reply, std::uint64_t length, bool keep_alive) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " ";
  head.append(View(http::obsolete_reason(static_cast<http::status>(reply.status))));
  head.append("\r\nDate: ").append(HttpDate());
  if (reply.status != 204 && reply.status != 304) {
    head.append("\r\nContent-Length: ").append(std::to_string(length));
    if (length > 0) head.append("\r\nContent-Type: ").append(reply.content_type);
  }
  for (const auto& [name, value] : reply.headers) {
    head.append("\r\n").append(name).append(": ").append(value);
  }
  head.append(keep_alive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
  return head;
}

// What the server itself refuses.
HttpReply Refusal(int status, std::string_view message) {
  Code code = Code::kInvalid;
  if (status == 408) code = Code::kTimeout;
  if (status == 503) code = Code::kUnavailable;
  if (status == 500) code = Code::kInternal;
  return ErrorReply(status, code, message);
}

// What is wrong with how the message says where its body ends; nothing: it is clear. Beast takes
// what RFC 9112 leaves to a recipient's mercy, and two servers in a row that differ in it can be
// made to see two different requests.
std::optional<std::pair<int, std::string_view>> RefuseFraming(const Parser& parser) {
  const auto& message = parser.get();
  if (const auto length = message.find(http::field::content_length); length != message.end()) {
    if (message.count(http::field::content_length) > 1 ||
        View(length->value()).find_first_not_of("0123456789") != std::string_view::npos) {
      return std::pair{400, "there is more than one Content-Length"};
    }
  }
  const auto coding = message.find(http::field::transfer_encoding);
  if (coding == message.end()) return std::nullopt;
  if (message.version() < 11) return std::pair{400, "HTTP/1.0 has no Transfer-Encoding"};
  if (message.count(http::field::content_length) > 0) {
    return std::pair{400, "there are Transfer-Encoding and Content-Length"};
  }
  if (message.count(http::field::transfer_encoding) > 1 ||
      !boost::beast::iequals(coding->value(), "chunked")) {
    return std::pair{400, "Transfer-Encoding: only chunked is understood, and not taken"};
  }
  return std::pair{411, "chunked bodies are not taken: send Content-Length"};
}

bool Expects(const Parser::value_type& message) {
  return message.version() >= 11 && message.count(http::field::expect) > 0;
}

// The status and the text with which a request is refused for its head alone.
std::optional<std::pair<int, std::string_view>> RefuseHead(const Parser& parser) {
  if (const auto refusal = RefuseFraming(parser)) return refusal;
  const auto& message = parser.get();
  if (message.version() >= 11 && message.count(http::field::host) != 1) {
    return {{400, "an HTTP/1.1 request has one Host header"}};
  }
  if (Expects(message) && !boost::beast::iequals(message[http::field::expect], "100-continue")) {
    return {{417, "Expect: only 100-continue is understood"}};
  }
  return std::nullopt;
}

// "GET / HTTP/3.0\r\n…" asks for a version; "GET / HTTP/1.1\n…" or "GET /a b HTTP/1.1\r\n…" is wrong.
bool NamesAVersion(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  const auto version = line.rfind(" HTTP/");
  if (version == std::string_view::npos || version != line.find(' ', line.find(' ') + 1)) {
    return false;
  }
  const std::string_view digits = line.substr(version + std::string_view(" HTTP/").size());
  const auto digit = [&](std::size_t at) { return digits[at] >= '0' && digits[at] <= '9'; };
  return digits.size() == 4 && digit(0) && digits[1] == '.' && digit(2) && digits[3] == '\r';
}

// The status to answer bytes with that Beast did not take; `unread` begins where it stopped.
int StatusOf(const boost::beast::error_code& error, std::string_view unread) {
  if (error == http::error::header_limit) return 431;
  if (error == http::error::bad_version && NamesAVersion(unread)) return 505;
  return 400;
}

class SocketRequest final : public HttpRequest {
 public:
  SocketRequest(const Parser& parser, HttpTarget target, HttpStream& stream, bool expects_continue,
                std::chrono::milliseconds progress)
      : message_(parser.get()),
        target_(std::move(target)),
        stream_(stream),
        progress_(progress),
        continue_pending_(expects_continue) {
    if (const auto length = parser.content_length()) length_ = *length;
    left_ = length_;
  }

  [[nodiscard]] std::string_view method() const override { return View(message_.method_string()); }
  [[nodiscard]] std::string_view path() const override { return target_.path; }
  [[nodiscard]] std::optional<std::string> query(std::string_view name) const override {
    for (const auto& [key, value] : target_.query) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::vector<std::string> query_names() const override {
    std::vector<std::string> names;
    for (const auto& [key, value] : target_.query) names.push_back(key);
    return names;
  }
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const override {
    const auto field = message_.find(boost::beast::string_view(name.data(), name.size()));
    if (field == message_.end()) return std::nullopt;
    return View(field->value());
  }
  [[nodiscard]] std::uint64_t content_length() const override { return length_; }
  [[nodiscard]] std::uint64_t body_left() const override { return left_; }

  Status ReadBody(std::span<std::byte> bytes) override {
    if (bytes.size() > left_) return Invalid("the body is shorter than what it announces");
    if (broken_) return Invalid("the body is truncated");
    if (bytes.empty()) return OkStatus();
    if (continue_pending_) {
      continue_pending_ = false;
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      ELEPHAS_RETURN_IF_ERROR(stream_.stream().WriteAll({AsBytes(kContinue)}, progress_));
    }
    if (Status status = stream_.ReadExactly(bytes, progress_); !status.ok()) {
      broken_ = true;
      return status;
    }
    left_ -= bytes.size();
    return OkStatus();
  }

  // True when what is left of the body can be read and forgotten, so that the connection lives on.
  [[nodiscard]] bool Drainable(std::uint64_t limit) const {
    // A client that waits for "100 Continue" may or may not send its body after a refusal.
    return left_ == 0 || (!broken_ && !continue_pending_ && left_ <= limit);
  }

 private:
  const Parser::value_type& message_;
  const HttpTarget target_;
  HttpStream& stream_;
  const std::chrono::milliseconds progress_;
  std::uint64_t length_ = 0, left_ = 0;
  bool continue_pending_;
  bool broken_ = false;  // the body will never be complete
};

}  // namespace

std::string RefusalReply(int status, std::string_view message) {
  const HttpReply reply = Refusal(status, message);
  return ReplyHead(reply, reply.body.size(), false) + reply.body;
}

HttpSession::HttpSession(SessionActivity& activity, const std::atomic<bool>& stopping,
                         DeadlineStream stream, const HttpServer::Options& options,
                         const HttpServer::Handler& handler)
    : activity_(activity),
      stopping_(stopping),
      options_(options),
      handler_(handler),
      stream_(std::move(stream), options.max_header_bytes) {}

HttpSession::Outcome HttpSession::Run() {
  const auto patience = std::min(kWarm, options_.idle_timeout);
  // The header of the first request has arrived already.
  while (ServeOne()) {
    const auto now = SteadyClock::now();
    if (!activity_.BecomeIdle(now) || stopping_) return Outcome::kClose;
    const Status first = stream_.AwaitFirstByte(now + patience);
    if (first.code() == Code::kTimeout) {
      // Nobody may end a connection that is on its way to the lobby.
      return activity_.Serve() ? Outcome::kStillIdle : Outcome::kClose;
    }
    if (!first.ok()) return Outcome::kClose;
  }
  return Outcome::kClose;
}

HttpSession::Outcome HttpSession::RunOnce() {
  once_ = true;
  (void)ServeOne();
  return Outcome::kAnswered;
}

bool HttpSession::ServeOne() {
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(options_.max_header_bytes));
  parser.body_limit(std::numeric_limits<std::uint64_t>::max());  // the handler's business
  boost::beast::error_code error;
  const auto now = SteadyClock::now();
  if (!activity_.AwaitHeader(now)) return false;
  const Status read = stream_.ReadHeader(parser, now + options_.header_timeout, error);
  if (!activity_.Serve()) return false;
  switch (read.code()) {
    case Code::kOk:
      break;
    case Code::kInvalid:
      Refuse(StatusOf(error, stream_.unread()), "not an HTTP request: " + read.message());
      return false;
    case Code::kTimeout:
      Refuse(408, "the request's header did not arrive in time");
      return false;
    default:
      return false;  // nobody is there to read a reply
  }

  const auto& message = parser.get();
  if (const auto refusal = RefuseHead(parser)) {
    Refuse(refusal->first, refusal->second);
    return false;
  }
  auto target = ParseHttpTarget(View(message.target()));
  if (!target.ok()) {
    Refuse(400, target.status().message());
    return false;
  }

  SocketRequest request(parser, std::move(target).value(), stream_, Expects(message),
                        options_.progress_timeout);
  HttpReply reply;
  try {
    reply = handler_(request);
  } catch (const std::exception& exception) {  // out of memory, at worst
    reply = Refusal(500, exception.what());
  }
  const bool drainable = request.Drainable(options_.drain_limit);
  const bool keep_alive = !once_ && drainable && message.version() >= 11 && message.keep_alive();
  if (!WriteReply(reply, message.method() == http::verb::head, keep_alive)) return false;
  if (keep_alive) {
    if (request.body_left() == 0) return true;
    const auto drained = SteadyClock::now();
    return activity_.BecomeIdle(drained) &&
           stream_.Discard(request.body_left(), drained + kDrainTime);
  }
  Linger();
  return false;
}

void HttpSession::Refuse(int status, std::string_view message) {
  if (WriteReply(Refusal(status, message), false, false)) Linger();
}

bool HttpSession::WriteReply(const HttpReply& reply, bool head_only, bool keep_alive) {
  std::uint64_t length = reply.body.size();
  for (const auto& piece : reply.tail) length += piece.size();
  const std::string head = ReplyHead(reply, length, keep_alive);
  std::vector<std::span<const std::byte>> pieces{AsBytes(head)};
  if (!head_only && reply.status != 204 && reply.status != 304) {
    pieces.push_back(AsBytes(reply.body));
    pieces.insert(pieces.end(), reply.tail.begin(), reply.tail.end());
  }
  return stream_.stream().WriteAll(pieces, options_.progress_timeout).ok();
}

void HttpSession::Linger() {
  stream_.stream().FinishWriting();
  if (once_) return;  // done by who takes the stream
  const auto now = SteadyClock::now();
  if (!activity_.BecomeIdle(now)) return;
  (void)stream_.Discard(std::numeric_limits<std::uint64_t>::max(), now + kLingerTime);
}

}  // namespace elephas
