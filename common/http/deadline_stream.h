// A connected TCP socket whose every wait has a deadline, shared by HttpClient and HttpServer.
//
// The socket is non-blocking; a call tries first and polls only when the kernel has nothing, so
// data that is already there costs one system call. Bodies go straight between the kernel and the
// caller's memory.
//
// Not thread-safe, but another thread may ::shutdown() the descriptor: the waiting call then ends
// as if the peer had gone.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace elephas {

// The bytes of `text`, which must live as long as they are used.
inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class DeadlineStream {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  DeadlineStream() = default;
  // Owns `fd`, a connected socket; makes it non-blocking and switches Nagle's delay off.
  explicit DeadlineStream(int fd);
  DeadlineStream(DeadlineStream&& other) noexcept;
  DeadlineStream& operator=(DeadlineStream&& other) noexcept;
  DeadlineStream(const DeadlineStream&) = delete;
  DeadlineStream& operator=(const DeadlineStream&) = delete;
  ~DeadlineStream();

  // Tries every address of `host` until `deadline` (looking a name up takes as long as the resolver
  // takes). kUnavailable with the reason, kTimeout.
  static Result<DeadlineStream> Connect(const std::string& host, const std::string& port,
                                        TimePoint deadline);

  // Reads between 1 and bytes.size() bytes; 0 means that the peer sends no more. kTimeout at the
  // deadline, kUnavailable when the connection broke. Precondition: bytes is not empty.
  Result<std::size_t> ReadSome(std::span<std::byte> bytes, TimePoint deadline);

  // Sends all pieces in order. Fails with kTimeout after `progress` without a byte accepted, and at
  // the deadline.
  // With `interrupted` the call also ends, successfully and with *interrupted set, when the peer
  // speaks (or closes) before everything is sent: it will not read the rest.
  Status WriteAll(const std::vector<std::span<const std::byte>>& pieces,
                  std::chrono::milliseconds progress, bool* interrupted = nullptr,
                  TimePoint deadline = TimePoint::max());

  // True when an idle connection can carry another request: nothing to read, not closed.
  [[nodiscard]] bool IdleAndOpen() const;
  // Tells the peer that nothing more comes; reading goes on.
  void FinishWriting();
  void Close();
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace elephas
