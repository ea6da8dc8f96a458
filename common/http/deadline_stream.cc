#include "common/http/deadline_stream.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "common/base/errno_text.h"

namespace elephas {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Waits for `events` (an error or hang-up counts). Returns the events seen; kTimeout at the
// deadline.
Result<short> Await(int fd, short events, DeadlineStream::TimePoint deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now());
    if (left.count() <= 0) return Timeout("no progress on the connection");
    constexpr std::int64_t kLongest = 3'600'000;  // poll takes an int
    pollfd entry{.fd = fd, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min(left.count(), kLongest)));
    if (ready > 0) return entry.revents;
    if (ready < 0 && errno != EINTR) return Internal("poll: " + ErrnoText(errno));
  }
}

struct AddressListDeleter {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

Result<DeadlineStream> ConnectTo(const addrinfo& address, DeadlineStream::TimePoint deadline) {
  const int fd = ::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          address.ai_protocol);
  if (fd < 0) return Unavailable("socket: " + ErrnoText(errno));
  DeadlineStream stream(fd);
  if (::connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return Unavailable(ErrnoText(errno));
    if (auto ready = Await(fd, POLLOUT, deadline); !ready.ok()) {
      return ready.status().code() == Code::kTimeout ? Timeout("connecting took too long")
                                                     : ready.status();
    }
    int error = 0;
    socklen_t length = sizeof(error);
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return Unavailable(ErrnoText(error));
  }
  return stream;
}

}  // namespace

DeadlineStream::DeadlineStream(int fd) : fd_(fd) {
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

DeadlineStream::DeadlineStream(DeadlineStream&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

DeadlineStream& DeadlineStream::operator=(DeadlineStream&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

DeadlineStream::~DeadlineStream() { Close(); }

Result<DeadlineStream> DeadlineStream::Connect(const std::string& host, const std::string& port,
                                               TimePoint deadline) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return Unavailable(host + ": " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, AddressListDeleter> addresses(found);
  Status last = Unavailable("no address");
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    auto stream = ConnectTo(*address, deadline);
    if (stream.ok()) return stream;
    last = stream.status();
  }
  return last.Annotate(host + ":" + port);
}

Result<std::size_t> DeadlineStream::ReadSome(std::span<std::byte> bytes, TimePoint deadline) {
  for (;;) {
    const ssize_t count = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return Unavailable(ErrnoText(errno));
    if (auto ready = Await(fd_, POLLIN, deadline); !ready.ok()) return ready.status();
  }
}

Status DeadlineStream::WriteAll(const std::vector<std::span<const std::byte>>& pieces,
                                std::chrono::milliseconds progress, bool* interrupted,
                                TimePoint deadline) {
  constexpr std::size_t kPiecesAtOnce = 16;
  if (interrupted != nullptr) *interrupted = false;
  std::size_t piece = 0;   // the first one that is not sent whole
  std::size_t offset = 0;  // what is sent of it
  for (;;) {
    std::array<iovec, kPiecesAtOnce> vectors{};
    std::size_t filled = 0;
    for (std::size_t i = piece; i < pieces.size() && filled < vectors.size(); ++i) {
      const auto rest = i == piece ? pieces[i].subspan(offset) : pieces[i];
      if (rest.empty()) continue;
      // sendmsg reads only; its struct has no const.
      vectors[filled++] = {.iov_base = const_cast<std::byte*>(rest.data()), .iov_len = rest.size()};
    }
    if (filled == 0) return OkStatus();
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = filled;
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      auto left = static_cast<std::size_t>(sent);
      while (piece < pieces.size() && left >= pieces[piece].size() - offset) {
        left -= pieces[piece].size() - offset;
        ++piece;
        offset = 0;
      }
      offset += left;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      // A peer that answered early and closed: its answer may still be readable.
      if (interrupted != nullptr && (errno == EPIPE || errno == ECONNRESET)) {
        *interrupted = true;
        return OkStatus();
      }
      return Unavailable(ErrnoText(errno));
    }
    const short events = interrupted == nullptr ? POLLOUT : short{POLLOUT | POLLIN};
    const auto ready = Await(fd_, events, std::min(SteadyClock::now() + progress, deadline));
    if (!ready.ok()) return ready.status();
    if (interrupted != nullptr && (*ready & POLLIN) != 0) {
      *interrupted = true;
      return OkStatus();
    }
  }
}

bool DeadlineStream::IdleAndOpen() const {
  std::byte byte{};
  return fd_ >= 0 && ::recv(fd_, &byte, 1, MSG_PEEK) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

void DeadlineStream::FinishWriting() {
  if (fd_ >= 0) ::shutdown(fd_, SHUT_WR);
}

void DeadlineStream::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace elephas
