#include "common/http/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "common/base/errno_text.h"
#include "common/base/mutex.h"
#include "common/http/deadline_stream.h"
#include "common/http/lobby.h"
#include "common/http/session.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;

// How long a connection that was refused stays open for its client to read why.
constexpr milliseconds kRefusalLinger{1000};
// Without a seat: how long a question may take to arrive, and how many are waited for.
constexpr milliseconds kReservePatience{1000};
constexpr std::size_t kReserveSeats = 16;
// How long a silent connection, or one in the middle of a header, keeps its seat when another wants
// it.
constexpr milliseconds kPatienceWhenFull{1000};

constexpr std::uint64_t kListenerKey = 0;
constexpr std::uint64_t kWakeKey = 1;

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

// Descriptors that are held to be given away when there are no others: a new connection can then be
// accepted, and be answered or refused.
class SpareDescriptors {
 public:
  void Refill() {
    while (spares_.size() < kSpares) {
      FileDescriptor spare(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (spare.get() < 0) return;  // tried again
      spares_.push_back(std::move(spare));
    }
  }
  [[nodiscard]] bool full() const { return spares_.size() == kSpares; }
  // Frees one; false when there is none.
  bool GiveUp() {
    if (spares_.empty()) return false;
    spares_.pop_back();
    return true;
  }

 private:
  static constexpr std::size_t kSpares = 4;
  std::vector<FileDescriptor> spares_;
};

// As many as asked for, and as many as leave the program some descriptors for its own files.
std::size_t MostConnections(std::size_t wanted) {
  constexpr rlim_t kOwn = 64;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  const rlim_t most = limit.rlim_cur >= 2 * kOwn ? limit.rlim_cur - kOwn : limit.rlim_cur / 2;
  return std::clamp<std::size_t>(most, 1, wanted);
}

HttpLobby::Patience PatienceOf(const HttpServer::Options& options) {
  const auto idle = std::max(options.idle_timeout - HttpSession::kWarm, milliseconds(0));
  return {std::min(options.header_timeout, options.idle_timeout), options.header_timeout, idle,
          std::min(kReservePatience, options.header_timeout), kRefusalLinger};
}

// Of what the reserve answers nothing may wait for its peer for long.
HttpServer::Options ReserveOptions(HttpServer::Options options) {
  options.header_timeout = std::min(options.header_timeout, kReservePatience);
  options.progress_timeout = std::min(options.progress_timeout, kReservePatience);
  options.drain_limit = 0;
  return options;
}

// "GET /healthz HTTP/1.1" asks for "/healthz".
bool AsksFor(std::string_view first_line, const std::vector<std::string>& paths) {
  const auto space = first_line.find(' ');
  const std::string_view method = first_line.substr(0, space);
  if (space == std::string_view::npos || (method != "GET" && method != "HEAD")) return false;
  const std::string_view target = first_line.substr(space + 1);
  const std::string_view path = target.substr(0, target.find_first_of(" ?"));
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

}  // namespace

struct HttpServer::Impl {
  Options options, reserve_options;
  Handler handler;
  Listener listener;
  FileDescriptor wake;               // readable when a session has ended or the server stops
  std::unique_ptr<HttpLobby> lobby;  // of the accepting thread
  SpareDescriptors spares;           // of the accepting thread
  std::thread acceptor, reserve;

  struct Connection {
    int fd = -1;
    DeadlineStream stream;  // until its thread takes it
    SessionActivity activity;
    bool ended = false;  // its seat is somebody else's
    std::thread thread;
  };
  struct Returned {
    DeadlineStream stream;
    HttpLobby::Room room;
  };
  std::atomic<bool> stopping = false;
  Mutex mutex;
  CondVar changed, reserve_changed;
  std::uint64_t next_id ELEPHAS_GUARDED_BY(mutex) = 1;
  std::unordered_map<std::uint64_t, Connection> connections ELEPHAS_GUARDED_BY(mutex);
  // Of `connections`, those that are `ended`.
  std::size_t ended_connections ELEPHAS_GUARDED_BY(mutex) = 0;
  std::vector<std::thread> finished ELEPHAS_GUARDED_BY(mutex);       // ended, not yet joined
  std::vector<Returned> returned ELEPHAS_GUARDED_BY(mutex);          // need no thread for now
  std::deque<DeadlineStream> for_reserve ELEPHAS_GUARDED_BY(mutex);  // ask for health

  // On the accepting thread.
  void Accept();
  void AcceptOne();
  int AcceptWithSpare(bool& seated);
  void Seat(HttpLobby::Arrival arrival);
  bool Open(DeadlineStream& stream);
  void ServeFromReserve(HttpLobby::Arrival arrival);
  [[nodiscard]] bool HasSeat();
  bool FreeSeat();
  bool EndSession();
  void TakeBack();

  void Wake() const {
    const std::uint64_t one = 1;
    (void)!::write(wake.get(), &one, sizeof(one));
  }
  void RunSession(std::uint64_t id);
  void RunReserve();
  Status Begin();
  void Stop(std::chrono::milliseconds grace);
};

void HttpServer::Impl::Accept() {
  while (!stopping) {
    spares.Refill();
    HttpLobby::Woken woken = lobby->Wait();
    TakeBack();
    for (HttpLobby::Arrival& arrival : woken.arrivals) Seat(std::move(arrival));
    // One at a time: who has come before may be ready by now, and is then not in the way.
    for (const std::uint64_t key : woken.watched) {
      if (key == kListenerKey) AcceptOne();
    }
  }
}

void HttpServer::Impl::AcceptOne() {
  bool seated = true;
  int fd = ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
    fd = AcceptWithSpare(seated);
    if (fd < 0) return;
  } else {
    seated = HasSeat() || FreeSeat();
  }
  if (!seated && lobby->Count(HttpLobby::Room::kReserve) >= kReserveSeats) {
    lobby->End(HttpLobby::Room::kReserve, {});
  }
  lobby->Enter(DeadlineStream(fd), seated ? HttpLobby::Room::kNew : HttpLobby::Room::kReserve);
}

// There are no descriptors left. Frees one: of who leaves anyhow, of who does nothing, of the
// spares.
int HttpServer::Impl::AcceptWithSpare(bool& seated) {
  const bool left = lobby->End(HttpLobby::Room::kLeaving, {});
  seated = FreeSeat();
  if (!left && !spares.GiveUp() && !seated) lobby->End(HttpLobby::Room::kReserve, {});
  const int fd = ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) {
    // The listener stays readable: without a pause this would spin until something is freed.
    pollfd entry{.fd = wake.get(), .events = POLLIN, .revents = 0};
    (void)::poll(&entry, 1, 50);
  }
  return fd;
}

bool HttpServer::Impl::HasSeat() {
  using Room = HttpLobby::Room;
  const std::size_t waiting =
      lobby->Count(Room::kNew) + lobby->Count(Room::kHeader) + lobby->Count(Room::kIdle);
  const MutexLock lock(mutex);
  return waiting + connections.size() - ended_connections < options.max_connections;
}

// Ends who needs its connection least; false when all of them are served.
bool HttpServer::Impl::FreeSeat() {
  using Room = HttpLobby::Room;
  return lobby->End(Room::kNew, kPatienceWhenFull) ||
         lobby->End(Room::kHeader, kPatienceWhenFull) || lobby->End(Room::kIdle, {}) ||
         EndSession() || lobby->End(Room::kNew, {});
}

// The session that is idle for longest, or else the one whose header takes longest.
bool HttpServer::Impl::EndSession() {
  using SteadyClock = std::chrono::steady_clock;
  const MutexLock lock(mutex);
  Connection* chosen = nullptr;
  auto oldest = SteadyClock::time_point::max();
  for (auto& [id, connection] : connections) {
    const auto since = connection.activity.IdleSince();
    if (connection.ended || !since || *since >= oldest) continue;
    chosen = &connection;
    oldest = *since;
  }
  if (chosen == nullptr) {
    oldest = SteadyClock::now() - kPatienceWhenFull;
    for (auto& [id, connection] : connections) {
      const auto since = connection.activity.AwaitsHeaderSince();
      if (connection.ended || !since || *since >= oldest) continue;
      chosen = &connection;
      oldest = *since;
    }
  }
  if (chosen == nullptr || !chosen->activity.End()) return false;
  chosen->ended = true;
  ++ended_connections;
  ::shutdown(chosen->fd, SHUT_RDWR);
  return true;
}

// Connections that their threads have done with, and the threads.
void HttpServer::Impl::TakeBack() {
  std::uint64_t count = 0;
  (void)!::read(wake.get(), &count, sizeof(count));
  std::vector<std::thread> threads;
  std::vector<Returned> back;
  {
    const MutexLock lock(mutex);
    threads.swap(finished);
    back.swap(returned);
  }
  for (auto& thread : threads) thread.join();
  for (Returned& one : back) lobby->Enter(std::move(one.stream), one.room);
}

// A header has arrived. A descriptor that was a spare is not for somebody who may keep it.
void HttpServer::Impl::Seat(HttpLobby::Arrival arrival) {
  const bool has_seat = arrival.room != HttpLobby::Room::kReserve || (spares.full() && HasSeat());
  if (has_seat && Open(arrival.stream)) return;
  ServeFromReserve(std::move(arrival));
}

// False: there are no more threads.
bool HttpServer::Impl::Open(DeadlineStream& stream) {
  const MutexLock lock(mutex);
  const std::uint64_t id = next_id++;
  Connection& connection = connections[id];
  connection.fd = stream.fd();
  connection.stream = std::move(stream);
  try {
    // The thread's first step takes the mutex, so it finds its entry.
    connection.thread = std::thread([this, id] { RunSession(id); });
    return true;
  } catch (const std::system_error&) {
    stream = std::move(connection.stream);
    connections.erase(id);
    return false;
  }
}

void HttpServer::Impl::ServeFromReserve(HttpLobby::Arrival arrival) {
  if (AsksFor(arrival.first_line, options.health_paths)) {
    const MutexLock lock(mutex);
    if (for_reserve.size() < kReserveSeats) {
      for_reserve.push_back(std::move(arrival.stream));
      reserve_changed.NotifyOne();
      return;
    }
  }
  lobby->TurnAway(std::move(arrival.stream), RefusalReply(503, "too many connections"));
}

void HttpServer::Impl::RunSession(std::uint64_t id) {
  DeadlineStream stream;
  SessionActivity* activity = nullptr;
  {
    const MutexLock lock(mutex);
    Connection& connection = connections.at(id);
    stream = std::move(connection.stream);
    activity = &connection.activity;
  }
  HttpSession session(*activity, stopping, std::move(stream), options, handler);
  const HttpSession::Outcome outcome = session.Run();
  {
    const MutexLock lock(mutex);
    if (outcome == HttpSession::Outcome::kStillIdle && !stopping) {
      returned.push_back({session.TakeStream(), HttpLobby::Room::kIdle});
    }
    const auto connection = connections.find(id);
    finished.push_back(std::move(connection->second.thread));
    if (connection->second.ended) --ended_connections;
    // Before the descriptor is closed: Stop() must not meet a new owner.
    connections.erase(connection);
    Wake();
    changed.NotifyAll();
  }
}

// The one thread that is there for health when all others are busy.
void HttpServer::Impl::RunReserve() {
  MutexLock lock(mutex);
  for (;;) {
    while (!stopping && for_reserve.empty()) reserve_changed.Wait(mutex);
    if (stopping) return;
    DeadlineStream stream = std::move(for_reserve.front());
    for_reserve.pop_front();
    lock.Unlock();
    SessionActivity activity;
    HttpSession session(activity, stopping, std::move(stream), reserve_options, handler);
    (void)session.RunOnce();
    lock.Lock();
    returned.push_back({session.TakeStream(), HttpLobby::Room::kLeaving});
    Wake();
  }
}

void HttpServer::Impl::Stop(std::chrono::milliseconds grace) {
  {
    const MutexLock lock(mutex);
    stopping = true;
    for (auto& [id, connection] : connections) {
      if (connection.activity.IdleSince() && connection.activity.End()) {
        ::shutdown(connection.fd, SHUT_RDWR);
      }
    }
    Wake();
    reserve_changed.NotifyAll();
  }
  if (acceptor.joinable()) acceptor.join();
  if (reserve.joinable()) reserve.join();
  lobby.reset();
  listener.socket = FileDescriptor();
  {
    const MutexLock lock(mutex);
    const auto deadline = std::chrono::steady_clock::now() + grace;
    while (!connections.empty() && changed.WaitUntil(mutex, deadline)) {
    }
    for (auto& [id, connection] : connections) ::shutdown(connection.fd, SHUT_RDWR);
    while (!connections.empty()) changed.Wait(mutex);
    returned.clear();
    for_reserve.clear();
  }
  TakeBack();
}

Status HttpServer::Impl::Begin() {
  wake = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake.get() < 0) return Internal("eventfd: " + ErrnoText(errno));
  lobby = std::make_unique<HttpLobby>(PatienceOf(options));
  ELEPHAS_RETURN_IF_ERROR(lobby->Open());
  ELEPHAS_RETURN_IF_ERROR(lobby->Watch(listener.socket.get(), kListenerKey));
  ELEPHAS_RETURN_IF_ERROR(lobby->Watch(wake.get(), kWakeKey));
  spares.Refill();
  try {
    reserve = std::thread([this] { RunReserve(); });
    acceptor = std::thread([this] { Accept(); });
  } catch (const std::system_error& error) {
    Stop(std::chrono::milliseconds(0));
    return Internal(std::string("no thread: ") + error.what());
  }
  return OkStatus();
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, Handler handler) {
  ELEPHAS_ASSIGN_OR_RETURN(Listener listener, Listen(options.address, options.port));
  auto impl = std::make_unique<Impl>();
  options.max_connections = MostConnections(options.max_connections);
  impl->options = std::move(options);
  impl->reserve_options = ReserveOptions(impl->options);
  impl->handler = std::move(handler);
  impl->listener = std::move(listener);
  ELEPHAS_RETURN_IF_ERROR(impl->Begin());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { Stop(std::chrono::milliseconds(0)); }
std::uint16_t HttpServer::port() const { return impl_->listener.port; }
void HttpServer::Stop(std::chrono::milliseconds grace) { impl_->Stop(grace); }

}  // namespace elephas
