// A raw TCP peer for the HTTP tests: says exactly these bytes, shows exactly what comes back.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/http/deadline_stream.h"

namespace elephas {

class RawPeer {
 public:
  explicit RawPeer(std::uint16_t port) {
    auto stream = DeadlineStream::Connect("127.0.0.1", std::to_string(port), In(2000));
    if (stream.ok()) stream_ = std::move(stream).value();
  }
  // On a socket that is connected already.
  explicit RawPeer(DeadlineStream stream) : stream_(std::move(stream)) {}
  [[nodiscard]] bool connected() const { return stream_.is_open(); }

  Status Say(std::string_view text) {
    return stream_.WriteAll({std::as_bytes(std::span(text.data(), text.size()))},
                            std::chrono::milliseconds(5000));
  }
  // Everything until the peer closes; what came so far when it does not.
  std::string ReadToEnd(int milliseconds = 5000) {
    std::string all;
    for (;;) {
      char buffer[4096];
      auto count = stream_.ReadSome(std::as_writable_bytes(std::span(buffer)), In(milliseconds));
      if (!count.ok() || *count == 0) {
        closed_ = count.ok() || count.status().code() == Code::kUnavailable;
        return all;
      }
      all.append(buffer, *count);
    }
  }
  // Until `end` was seen; shorter when the peer closed.
  std::string ReadUntil(std::string_view end) {
    std::string all;
    while (!all.ends_with(end)) {
      char byte = 0;
      auto count = stream_.ReadSome(std::as_writable_bytes(std::span(&byte, 1)), In(5000));
      if (!count.ok() || *count == 0) break;
      all.push_back(byte);
    }
    return all;
  }
  // What the peer answers to `text` up to its closing the connection.
  std::string Ask(std::string_view text) {
    if (!Say(text).ok()) return "(could not send)";
    return ReadToEnd();
  }
  [[nodiscard]] bool closed() const { return closed_; }
  DeadlineStream& stream() { return stream_; }

 private:
  static DeadlineStream::TimePoint In(int milliseconds) {
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  }
  DeadlineStream stream_;
  bool closed_ = false;
};

}  // namespace elephas
