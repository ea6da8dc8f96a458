#include "common/http/stream.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <cstring>

namespace elephas {

namespace http = boost::beast::http;

namespace {

// Whether one of the lines begins with a blank. `line_ended`: whether the byte before `text` ended
// one; then, whether its last does.
bool HasFoldedLine(std::string_view text, bool& line_ended) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  if (text.empty()) return false;
  if (line_ended && blank(text.front())) return true;
  for (auto end = text.find('\n'); end < text.size() - 1; end = text.find('\n', end + 1)) {
    if (blank(text[end + 1])) return true;
  }
  line_ended = text.back() == '\n';
  return false;
}

}  // namespace

HttpStream::HttpStream(DeadlineStream stream, std::size_t max_header_bytes)
    : stream_(std::move(stream)), buffer_(max_header_bytes) {}

Status HttpStream::Fill(TimePoint deadline) {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) return Invalid("the header is too large");
  ELEPHAS_ASSIGN_OR_RETURN(const std::size_t count,
                           stream_.ReadSome(std::span(buffer_).subspan(end_), deadline));
  if (count == 0) return NotFound("the peer closed the connection");
  end_ += count;
  return OkStatus();
}

Status HttpStream::AwaitFirstByte(TimePoint deadline) {
  return buffer_empty() ? Fill(deadline) : OkStatus();
}

template <bool is_request>
Status HttpStream::ReadHeader(http::parser<is_request, http::empty_body>& parser,
                              TimePoint deadline, boost::beast::error_code& error) {
  bool line_ended = false;
  std::size_t parsed = 0;  // Beast counts what one call sees; many small calls are ours to count
  for (;;) {
    if (!buffer_empty()) {
      error = {};
      const std::size_t count =
          parser.put(boost::asio::const_buffer(buffer_.data() + begin_, end_ - begin_), error);
      const std::string_view taken = unread().substr(0, count);
      begin_ += count;
      parsed += count;
      if (HasFoldedLine(taken, line_ended)) {
        error = http::error::bad_field;
        return Invalid("a field goes on in the next line");
      }
      if (!error && parser.is_header_done()) return OkStatus();
      if (error && error != http::error::need_more) return Invalid(error.message());
      // Without an error and without the end: the parser stopped after the start line. Go on at
      // once.
      if (!error && !buffer_empty()) continue;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return Timeout("the header does not come to its end");
    }
    if (parsed + (end_ - begin_) >= buffer_.size()) {
      error = http::error::header_limit;
      return Invalid("the header is too large");
    }
    error = {};
    ELEPHAS_RETURN_IF_ERROR(Fill(deadline));
  }
}

template Status HttpStream::ReadHeader(http::parser<true, http::empty_body>&, TimePoint,
                                       boost::beast::error_code&);
template Status HttpStream::ReadHeader(http::parser<false, http::empty_body>&, TimePoint,
                                       boost::beast::error_code&);

std::size_t HttpStream::TakeBuffered(std::span<std::byte> bytes) {
  const std::size_t count = std::min(bytes.size(), end_ - begin_);
  if (count > 0) std::memcpy(bytes.data(), buffer_.data() + begin_, count);
  begin_ += count;
  return count;
}

Status HttpStream::ReadExactly(std::span<std::byte> bytes, std::chrono::milliseconds progress,
                               TimePoint deadline) {
  bytes = bytes.subspan(TakeBuffered(bytes));
  while (!bytes.empty()) {
    const auto now = std::chrono::steady_clock::now();
    // A peer that always has a byte never lets ReadSome wait, so the deadline is looked at here too.
    if (now >= deadline) return Timeout("the body does not come to its end");
    ELEPHAS_ASSIGN_OR_RETURN(const std::size_t count,
                             stream_.ReadSome(bytes, std::min(now + progress, deadline)));
    if (count == 0) return Invalid("the body is truncated: the peer closed the connection");
    bytes = bytes.subspan(count);
  }
  return OkStatus();
}

bool HttpStream::Discard(std::uint64_t limit, TimePoint deadline) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): written before it is read
  std::array<std::byte, 65536> scratch;
  while (limit > 0) {
    const auto room = std::span(scratch).first(std::min<std::uint64_t>(limit, scratch.size()));
    std::size_t count = TakeBuffered(room);
    if (count == 0) {
      const auto read = stream_.ReadSome(room, deadline);
      if (!read.ok() || *read == 0) return false;
      count = *read;
      // A peer that keeps sending never lets ReadSome wait, so the deadline is looked at here too.
      if (std::chrono::steady_clock::now() > deadline) return false;
    }
    limit -= count;
  }
  return true;
}

}  // namespace elephas
