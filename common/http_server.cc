#include "common/http_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "common/deadline_stream.h"
#include "common/http_session.h"

namespace elephas {
namespace {

using SteadyClock = std::chrono::steady_clock;

// How long a connection that was refused stays open for its client to read why.
constexpr std::chrono::milliseconds kRefusalLinger{1000};
constexpr std::size_t kMaxLingering = 64;

std::string ErrnoText(int error) { return std::generic_category().message(error); }

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

struct Listener {
  FileDescriptor socket;
  std::uint16_t port = 0;
};

Result<Listener> Listen(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error =
          ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
      error != 0) {
    return Invalid("address " + address + ": " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  Listener listener;
  listener.socket =
      FileDescriptor(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = listener.socket.get();
  if (fd < 0) return Internal("socket: " + ErrnoText(errno));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  constexpr int kBacklog = 512;
  if (::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    if (error == EADDRINUSE) return Unavailable("port " + std::to_string(port) + " is in use");
    return Unavailable(address + " port " + std::to_string(port) + ": " + ErrnoText(error));
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    return Internal("getsockname: " + ErrnoText(errno));
  }
  listener.port =
      ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                        : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return listener;
}

// Connections that were turned away: kept until their client has read the reply, so that closing
// with unread bytes does not destroy it. Only the accepting thread uses it.
class TurnedAway {
 public:
  void Add(int fd) {
    DeadlineStream stream(fd);
    const std::string reply = RefusalReply(503, "too many connections");
    // The socket is new, so its send buffer takes these few bytes at once; if not, they are lost.
    (void)::send(stream.fd(), reply.data(), reply.size(), MSG_NOSIGNAL);
    stream.FinishWriting();
    if (lingering_.size() == kMaxLingering) lingering_.pop_front();
    lingering_.push_back({std::move(stream), SteadyClock::now() + kRefusalLinger});
  }
  void CloseExpired() {
    while (!lingering_.empty() && lingering_.front().until <= SteadyClock::now()) {
      lingering_.pop_front();
    }
  }
  [[nodiscard]] bool empty() const { return lingering_.empty(); }

 private:
  struct Entry {
    DeadlineStream stream;
    SteadyClock::time_point until;
  };
  std::deque<Entry> lingering_;
};

}  // namespace

struct HttpServer::Impl final : HttpSession::Owner {
  Options options;
  Handler handler;
  Listener listener;
  FileDescriptor wake;  // readable once the server stops
  std::thread acceptor;

  struct Connection {
    int fd = -1;
    bool busy = false;
    std::thread thread;
  };
  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by mutex:
  bool stopping = false;
  std::uint64_t next_id = 1;
  std::unordered_map<std::uint64_t, Connection> connections;
  std::vector<std::thread> finished;  // ended, not yet joined

  // HttpSession::Owner: on the connection's thread.
  bool BecomeBusy(std::uint64_t id) override { return SetBusy(id, true); }
  bool BecomeIdle(std::uint64_t id) override { return SetBusy(id, false); }
  bool SetBusy(std::uint64_t id, bool busy) {
    const std::scoped_lock lock(mutex);
    connections.at(id).busy = busy;
    return !stopping;
  }

  void Accept();
  void Open(int fd, TurnedAway& turned_away);
  void RunSession(std::uint64_t id, int fd);
  void JoinFinished();
  void Stop(std::chrono::milliseconds grace);
};

void HttpServer::Impl::Accept() {
  TurnedAway turned_away;
  for (;;) {
    pollfd entries[] = {{.fd = listener.socket.get(), .events = POLLIN, .revents = 0},
                        {.fd = wake.get(), .events = POLLIN, .revents = 0}};
    const int timeout = turned_away.empty() ? -1 : static_cast<int>(kRefusalLinger.count());
    (void)::poll(entries, 2, timeout);
    if (entries[1].revents != 0) return;
    turned_away.CloseExpired();
    JoinFinished();
    if (entries[0].revents == 0) continue;
    const int fd = ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      Open(fd, turned_away);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The listener stays readable: without a pause this would spin until something is freed.
      (void)::poll(&entries[1], 1, 50);
    }
  }
}

void HttpServer::Impl::Open(int fd, TurnedAway& turned_away) {
  const std::scoped_lock lock(mutex);
  if (stopping || connections.size() >= options.max_connections) {
    turned_away.Add(fd);
    return;
  }
  const std::uint64_t id = next_id++;
  try {
    // The thread's first step takes the mutex, so it finds its entry.
    connections[id].fd = fd;
    connections[id].thread = std::thread([this, id, fd] { RunSession(id, fd); });
  } catch (const std::system_error&) {  // no more threads
    connections.erase(id);
    turned_away.Add(fd);
  }
}

void HttpServer::Impl::RunSession(std::uint64_t id, int fd) {
  HttpSession session(*this, id, DeadlineStream(fd), options, handler);
  session.Run();
  const std::scoped_lock lock(mutex);
  const auto connection = connections.find(id);
  finished.push_back(std::move(connection->second.thread));
  connections.erase(
      connection);  // before the descriptor is closed: Stop() must not meet a new owner
  changed.notify_all();
}

void HttpServer::Impl::JoinFinished() {
  std::vector<std::thread> threads;
  {
    const std::scoped_lock lock(mutex);
    threads.swap(finished);
  }
  for (auto& thread : threads) thread.join();
}

void HttpServer::Impl::Stop(std::chrono::milliseconds grace) {
  {
    const std::scoped_lock lock(mutex);
    stopping = true;
    for (auto& [id, connection] : connections) {
      if (!connection.busy) ::shutdown(connection.fd, SHUT_RDWR);
    }
  }
  const std::uint64_t one = 1;
  (void)!::write(wake.get(), &one, sizeof(one));
  if (acceptor.joinable()) acceptor.join();
  listener.socket = FileDescriptor();
  {
    std::unique_lock lock(mutex);
    const auto all_gone = [this] { return connections.empty(); };
    if (!changed.wait_for(lock, grace, all_gone)) {
      for (auto& [id, connection] : connections) ::shutdown(connection.fd, SHUT_RDWR);
      changed.wait(lock, all_gone);
    }
  }
  JoinFinished();
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, Handler handler) {
  ELEPHAS_ASSIGN_OR_RETURN(Listener listener, Listen(options.address, options.port));
  auto impl = std::make_unique<Impl>();
  impl->wake = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (impl->wake.get() < 0) return Internal("eventfd: " + ErrnoText(errno));
  impl->options = std::move(options);
  impl->handler = std::move(handler);
  impl->listener = std::move(listener);
  impl->acceptor = std::thread([state = impl.get()] { state->Accept(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { Stop(std::chrono::milliseconds(0)); }
std::uint16_t HttpServer::port() const { return impl_->listener.port; }
void HttpServer::Stop(std::chrono::milliseconds grace) { impl_->Stop(grace); }

}  // namespace elephas
