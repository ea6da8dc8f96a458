// A CollectiveProvider for tests: worker processes of one machine, over loopback sockets and in
// host memory. ELEPHAS_COLLECTIVE names the library that this becomes.
//
// Ranks form a chain, each with a connection to the one before and the one after. A sum runs up the
// chain in rank order, so it is the same bits every time, and back down.
//
// It fails on command: the file that ELEPHAS_LOOPBACK_CONTROL names holds "RANK COUNT WHAT", and
// when rank RANK (or any, for *) begins its COUNT-th operation (from 1; Connect is 0) or a later
// one, the file is removed and WHAT happens, once:
//   fail   the operation returns an error
//   hang   the operation waits until it is aborted
//   die    the process kills itself
//   refuse as fail, but the file stays: it happens every time
// ELEPHAS_LOOPBACK_UNORDERED=1 makes it a collective that promises no order, as NCCL is.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "worker/group/collective.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

std::string ErrorText(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

struct Listener {
  Socket socket;
  std::uint16_t port = 0;
};

Result<Listener> Listen() {
  Listener listener{Socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), 0};
  if (!listener.socket.open()) return Unavailable(ErrorText("socket"));
  sockaddr_in address = Loopback(0);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  const int fd = listener.socket.fd();
  if (bind(fd, generic, length) != 0 || listen(fd, 64) != 0 ||
      getsockname(fd, generic, &length) != 0) {
    return Unavailable(ErrorText("listen"));
  }
  listener.port = ntohs(address.sin_port);
  return listener;
}

// What the control file asks for now; empty: nothing.
std::string Command(std::int64_t rank, std::int64_t count) {
  const char* path = std::getenv("ELEPHAS_LOOPBACK_CONTROL");
  if (path == nullptr) return "";
  std::ifstream file(path);
  std::string who, what;
  std::int64_t from = 0;
  if (!(file >> who >> from >> what)) return "";
  if ((who != "*" && who != std::to_string(rank)) || count < from) return "";
  // Of several processes that see it, the one that removes it has it.
  if (what != "refuse" && unlink(path) != 0) return "";
  return what;
}

class LoopbackCollective final : public Collective {
 public:
  LoopbackCollective(milliseconds timeout, Listener listener)
      : timeout_(timeout), listener_(std::move(listener)), aborted_(eventfd(0, EFD_CLOEXEC)) {}

  Status Connect(const Seat& seat, milliseconds timeout) override {
    rank_ = seat.rank;
    world_ = seat.world;
    ELEPHAS_RETURN_IF_ERROR(Obey());
    const auto deadline = SteadyClock::now() + timeout;
    if (world_ == 1) return OkStatus();
    if (!listener_.socket.open()) {
      ELEPHAS_ASSIGN_OR_RETURN(listener_, Listen());
    }
    std::vector<std::uint16_t> ports(static_cast<std::size_t>(world_));
    ELEPHAS_RETURN_IF_ERROR(rank_ == 0 ? Gather(ports, deadline)
                                       : Introduce(seat, ports, deadline));
    // The chain: everybody calls the one before.
    if (rank_ > 0) {
      ELEPHAS_ASSIGN_OR_RETURN(previous_,
                               Call(ports[static_cast<std::size_t>(rank_ - 1)], deadline));
    }
    if (rank_ + 1 < world_) {
      ELEPHAS_ASSIGN_OR_RETURN(next_, Accept(deadline));
    }
    return OkStatus();
  }

  Status AllReduce(std::span<float> values) override {
    ELEPHAS_RETURN_IF_ERROR(Obey());
    if (rank_ > 0) {
      incoming_.resize(values.size());
      ELEPHAS_RETURN_IF_ERROR(Read(previous_, std::as_writable_bytes(std::span(incoming_))));
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = incoming_[i] + values[i];
    }
    if (rank_ + 1 < world_) {
      ELEPHAS_RETURN_IF_ERROR(Write(next_, std::as_bytes(values)));
    }
    return PassOn(values, world_ - 1);
  }

  Status Send(std::span<const float> values, std::int64_t to) override {
    ELEPHAS_RETURN_IF_ERROR(Obey());
    ELEPHAS_ASSIGN_OR_RETURN(Socket* const socket, Neighbour(to));
    return Write(*socket, std::as_bytes(values));
  }

  Status Receive(std::span<float> values, std::int64_t from) override {
    ELEPHAS_RETURN_IF_ERROR(Obey());
    ELEPHAS_ASSIGN_OR_RETURN(Socket* const socket, Neighbour(from));
    return Read(*socket, std::as_writable_bytes(values));
  }

  Status Broadcast(std::span<float> values, std::int64_t root) override {
    ELEPHAS_RETURN_IF_ERROR(Obey());
    return PassOn(values, root);
  }

  Status Finish() override { return OkStatus(); }

  void Abort() override {
    const std::uint64_t one = 1;
    if (write(aborted_.fd(), &one, sizeof one) < 0) return;  // it is set already
  }

 private:
  Status Obey() {
    const std::string what = Command(rank_, count_++);
    if (what == "fail" || what == "refuse") return Unavailable("failed on command");
    if (what == "die") raise(SIGKILL);
    if (what == "hang") return Wait(-1, 0, SteadyClock::now() + timeout_);
    return OkStatus();
  }

  Result<Socket*> Neighbour(std::int64_t rank) {
    if (rank == rank_ - 1) return &previous_;
    if (rank == rank_ + 1) return &next_;
    return Invalid("rank " + std::to_string(rank) + " is no neighbour");
  }

  Status PassOn(std::span<float> values, std::int64_t root) {
    if (rank_ < root) {
      ELEPHAS_RETURN_IF_ERROR(Read(next_, std::as_writable_bytes(values)));
    } else if (rank_ > root) {
      ELEPHAS_RETURN_IF_ERROR(Read(previous_, std::as_writable_bytes(values)));
    }
    if (rank_ <= root && rank_ > 0) {
      ELEPHAS_RETURN_IF_ERROR(Write(previous_, std::as_bytes(values)));
    }
    if (rank_ >= root && rank_ + 1 < world_) {
      ELEPHAS_RETURN_IF_ERROR(Write(next_, std::as_bytes(values)));
    }
    return OkStatus();
  }

  // Until `fd` is ready for `events`.
  Status Wait(int fd, short events, SteadyClock::time_point deadline) const {
    for (;;) {
      std::array<pollfd, 2> wanted{{{aborted_.fd(), POLLIN, 0}, {fd, events, 0}}};
      const auto left = std::chrono::ceil<milliseconds>(deadline - SteadyClock::now()).count();
      if (left <= 0)
        return Timeout("no progress within " + std::to_string(timeout_.count()) + " ms");
      const int ready = poll(wanted.data(), fd < 0 ? 1 : 2, static_cast<int>(left));
      if (ready < 0 && errno != EINTR) return Unavailable(ErrorText("poll"));
      if (wanted[0].revents != 0) return Unavailable("aborted");
      if (wanted[1].revents != 0) return OkStatus();
    }
  }

  Status Write(const Socket& socket, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN || errno == EINTR) {
        ELEPHAS_RETURN_IF_ERROR(Wait(socket.fd(), POLLOUT, SteadyClock::now() + timeout_));
      } else {
        return Unavailable(ErrorText("a peer is lost: send"));
      }
    }
    return OkStatus();
  }

  Status Read(const Socket& socket, std::span<std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t got = recv(socket.fd(), bytes.data(), bytes.size(), 0);
      if (got > 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(got));
      } else if (got == 0) {
        return Unavailable("a peer is lost: it closed its connection");
      } else if (errno == EAGAIN || errno == EINTR) {
        ELEPHAS_RETURN_IF_ERROR(Wait(socket.fd(), POLLIN, SteadyClock::now() + timeout_));
      } else {
        return Unavailable(ErrorText("a peer is lost: recv"));
      }
    }
    return OkStatus();
  }

  static void NoDelay(const Socket& socket) {
    const int on = 1;
    (void)setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

  Result<Socket> Call(std::uint16_t port, SteadyClock::time_point deadline) const {
    Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.open()) return Unavailable(ErrorText("socket"));
    sockaddr_in address = Loopback(port);
    if (connect(socket.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      if (errno != EINPROGRESS) return Unavailable(ErrorText("connect"));
      ELEPHAS_RETURN_IF_ERROR(Wait(socket.fd(), POLLOUT, deadline));
      int error = 0;
      socklen_t length = sizeof error;
      (void)getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &length);
      if (error != 0) return Unavailable(std::string("connect: ") + std::strerror(error));
    }
    NoDelay(socket);
    return socket;
  }

  Result<Socket> Accept(SteadyClock::time_point deadline) const {
    for (;;) {
      Socket socket(accept4(listener_.socket.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.open()) {
        NoDelay(socket);
        return socket;
      }
      if (errno != EAGAIN && errno != EINTR) return Unavailable(ErrorText("accept"));
      ELEPHAS_RETURN_IF_ERROR(Wait(listener_.socket.fd(), POLLIN, deadline));
    }
  }

  // Rank 0 hears from everybody on which port it listens, then tells all of them all ports.
  Status Gather(std::vector<std::uint16_t>& ports, SteadyClock::time_point deadline) const {
    std::map<std::int64_t, Socket> others;
    ports[0] = listener_.port;
    while (static_cast<std::int64_t>(others.size()) + 1 < world_) {
      ELEPHAS_ASSIGN_OR_RETURN(Socket socket, Accept(deadline));
      std::array<std::int64_t, 2> introduction{};
      ELEPHAS_RETURN_IF_ERROR(Read(socket, std::as_writable_bytes(std::span(introduction))));
      const auto [rank, port] = introduction;
      if (rank <= 0 || rank >= world_) return Unavailable("a stranger called");
      ports[static_cast<std::size_t>(rank)] = static_cast<std::uint16_t>(port);
      others[rank] = std::move(socket);
    }
    for (const auto& [rank, socket] : others) {
      ELEPHAS_RETURN_IF_ERROR(Write(socket, std::as_bytes(std::span(ports))));
    }
    return OkStatus();
  }

  Status Introduce(const Seat& seat, std::vector<std::uint16_t>& ports,
                   SteadyClock::time_point deadline) const {
    ELEPHAS_ASSIGN_OR_RETURN(
        const Socket socket,
        Call(static_cast<std::uint16_t>(std::strtoul(seat.id.c_str(), nullptr, 10)), deadline));
    const std::array<std::int64_t, 2> introduction{rank_, listener_.port};
    ELEPHAS_RETURN_IF_ERROR(Write(socket, std::as_bytes(std::span(introduction))));
    return Read(socket, std::as_writable_bytes(std::span(ports)));
  }

  const milliseconds timeout_;
  Listener listener_;
  const Socket aborted_;  // an eventfd: readable once Abort() was called
  std::int64_t rank_ = 0, world_ = 1, count_ = 0;
  Socket previous_, next_;
  std::vector<float> incoming_;
};

class LoopbackProvider final : public CollectiveProvider {
 public:
  [[nodiscard]] std::string name() const override { return "loopback"; }
  [[nodiscard]] bool on_gpu() const override { return false; }
  [[nodiscard]] bool ordered() const override {
    return std::getenv("ELEPHAS_LOOPBACK_UNORDERED") == nullptr;
  }
  Result<std::string> NewId() override {
    ELEPHAS_ASSIGN_OR_RETURN(listener_, Listen());
    return std::to_string(listener_.port);
  }
  std::unique_ptr<Collective> Make(milliseconds timeout) override {
    return std::make_unique<LoopbackCollective>(timeout, std::exchange(listener_, {}));
  }

 private:
  Listener listener_;  // of the id that NewId() gave, for the next Make()
};

}  // namespace
}  // namespace elephas

extern "C" elephas::CollectiveProvider* elephas_collective_v1(std::string& why) {
  why.clear();
  // The caller owns it.
  return new elephas::LoopbackProvider;  // NOLINT(cppcoreguidelines-owning-memory)
}
