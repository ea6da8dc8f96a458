// What HttpClient and HttpServer have in common above the socket: a buffer that header bytes are
// parsed from, and bodies that first take what the buffer already holds.
//
// Only the two of them include this header; Beast stays behind it. Not thread-safe.
#pragma once

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/http/deadline_stream.h"

namespace elephas {

class HttpStream {
 public:
  using TimePoint = DeadlineStream::TimePoint;

  // `max_header_bytes` bounds the buffer, so also what of a header may be unparsed at any time.
  HttpStream(DeadlineStream stream, std::size_t max_header_bytes);

  // Waits until at least one byte is there. kNotFound: the peer closed instead.
  Status AwaitFirstByte(TimePoint deadline);

  // Feeds `parser` until its header is done; what follows the header stays in the buffer. kInvalid
  // and a set `error` for bytes that are not HTTP, a field that goes on in the next line included
  // (RFC 9112, 5.2); kNotFound when the peer closed before the end.
  template <bool is_request>
  Status ReadHeader(boost::beast::http::parser<is_request, boost::beast::http::empty_body>& parser,
                    TimePoint deadline, boost::beast::error_code& error);

  // Fills `bytes`. kInvalid "truncated" when the peer closed before, kTimeout after `progress`
  // without a byte and at the deadline.
  Status ReadExactly(std::span<std::byte> bytes, std::chrono::milliseconds progress,
                     TimePoint deadline = TimePoint::max());
  // Reads and forgets up to `limit` bytes until `deadline`; true when all of them came.
  bool Discard(std::uint64_t limit, TimePoint deadline);

  // What has come and was not taken yet.
  [[nodiscard]] std::string_view unread() const {
    return {reinterpret_cast<const char*>(buffer_.data()) + begin_, end_ - begin_};
  }
  [[nodiscard]] bool buffer_empty() const { return begin_ == end_; }
  [[nodiscard]] DeadlineStream& stream() { return stream_; }

 private:
  // Appends what the socket has to the buffer; kInvalid when the buffer is full.
  Status Fill(TimePoint deadline);
  std::size_t TakeBuffered(std::span<std::byte> bytes);

  DeadlineStream stream_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // the unread part of buffer_
};

}  // namespace elephas
