#include "common/http/lobby.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/errno_text.h"
#include "common/http/session.h"

namespace elephas {

namespace {

using SteadyClock = std::chrono::steady_clock;

// What is looked at of a header before a thread takes over; nearly all are shorter.
constexpr std::size_t kPeek = 8192;
constexpr std::size_t kMostLeaving = 64;

Status ErrnoStatus(const char* call) {
  return Internal(std::string(call) + ": " + ErrnoText(errno));
}

// Whether a thread has something to do with this beginning of a request: it is a whole header, or
// so long or so wrong that an answer is due.
bool HeaderIsDue(std::string_view text) {
  if (text.size() == kPeek) return true;
  const char first = text.front();
  if ((first < 'A' || first > 'Z') && first != '\r' && first != '\n') return true;
  const auto line_end = text.find('\n');
  if (line_end == std::string_view::npos) return false;
  const std::string_view line = text.substr(0, line_end);
  if (line != "\r" && !line.ends_with(" HTTP/1.1\r") && !line.ends_with(" HTTP/1.0\r")) return true;
  for (auto at = line_end; at != std::string_view::npos; at = text.find('\n', at + 1)) {
    const std::string_view rest = text.substr(at + 1);
    if (rest.starts_with('\n') || rest.starts_with("\r\n")) return true;
  }
  return false;
}

// Reads what is there and forgets it, up to a bound: this thread has others to serve. False: the
// peer has closed.
bool Forget(int fd) {
  std::array<char, 65536> scratch;  // NOLINT(cppcoreguidelines-pro-type-member-init): only written
  const ssize_t count = ::recv(fd, scratch.data(), scratch.size(), MSG_DONTWAIT);
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

}  // namespace

HttpLobby::~HttpLobby() {
  if (epoll_ >= 0) ::close(epoll_);
}

Status HttpLobby::Open() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  return epoll_ < 0 ? ErrnoStatus("epoll_create") : OkStatus();
}

Status HttpLobby::Watch(int fd, std::uint64_t key) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0 ? ErrnoStatus("epoll_ctl")
                                                             : OkStatus();
}

void HttpLobby::Enter(DeadlineStream stream, Room room) {
  const std::uint64_t key = next_key_++;
  epoll_event event{};
  // Bytes that were seen stay in the socket for the thread that will read them, so only what is new
  // may wake. Who is leaving is read, and not all at once.
  event.events = EPOLLIN | EPOLLRDHUP;
  if (room != Room::kLeaving) event.events |= EPOLLET;
  event.data.u64 = key;
  // Without memory for one more in the kernel, it is closed.
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, stream.fd(), &event) != 0) return;
  At(room).emplace(key, Guest{std::move(stream), SteadyClock::now()});
}

void HttpLobby::TurnAway(DeadlineStream stream, std::string_view reply) {
  // The socket has sent nothing yet, so its buffer takes these few bytes at once; if not, they are
  // lost.
  (void)::send(stream.fd(), reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  stream.FinishWriting();
  if (Count(Room::kLeaving) >= kMostLeaving) End(Room::kLeaving, {});
  Enter(std::move(stream), Room::kLeaving);
}

DeadlineStream HttpLobby::TakeOut(Room room, Guests::iterator guest) {
  DeadlineStream stream = std::move(guest->second.stream);
  (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, stream.fd(), nullptr);
  At(room).erase(guest);
  return stream;
}

bool HttpLobby::End(Room room, std::chrono::milliseconds age) {
  Guests& guests = At(room);
  if (guests.empty()) return false;
  if (age.count() > 0 && SteadyClock::now() - guests.begin()->second.since < age) return false;
  guests.erase(guests.begin());
  return true;
}

HttpLobby::Woken HttpLobby::Wait() {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                 MillisecondsToNextEnd(SteadyClock::now()));
  Woken woken;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 < kMostWatched) {
      woken.watched.push_back(event.data.u64);
    } else {
      Hear(event.data.u64, event.events, woken);
    }
  }
  EndExpired(SteadyClock::now());
  return woken;
}

void HttpLobby::Hear(std::uint64_t key, std::uint32_t events, Woken& woken) {
  for (std::size_t i = 0; i < kRooms; ++i) {
    const auto guest = rooms_[i].find(key);
    if (guest == rooms_[i].end()) continue;
    const bool last = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    return HearIn(static_cast<Room>(i), guest, last, woken);
  }
}

void HttpLobby::HearIn(Room room, Guests::iterator guest, bool last, Woken& woken) {
  const int fd = guest->second.stream.fd();
  if (room == Room::kLeaving) {
    if (!Forget(fd)) At(room).erase(guest);
    return;
  }
  std::array<char, kPeek> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): written first
  const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
  const std::string_view text(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  // Half a header from who sends no more is answered, too, if only by closing.
  if (!text.empty() && (last || HeaderIsDue(text))) {
    std::string line(text.substr(0, std::min(text.find_first_of("\r\n"), text.size())));
    woken.arrivals.push_back({TakeOut(room, guest), room, std::move(line)});
  } else if (last || count == 0) {
    At(room).erase(guest);  // nobody is there to read a reply
  } else if (!text.empty() && (room == Room::kNew || room == Room::kIdle)) {
    Enter(TakeOut(room, guest), Room::kHeader);
  }
}

void HttpLobby::EndExpired(TimePoint now) {
  for (std::size_t i = 0; i < kRooms; ++i) {
    const Room room = static_cast<Room>(i);
    Guests& guests = rooms_[i];
    while (!guests.empty() && now - guests.begin()->second.since >= patience_[i]) {
      if (room == Room::kHeader) {
        TurnAway(TakeOut(room, guests.begin()),
                 RefusalReply(408, "the request's header did not arrive in time"));
      } else if (room == Room::kReserve) {
        TurnAway(TakeOut(room, guests.begin()), RefusalReply(503, "too many connections"));
      } else {
        guests.erase(guests.begin());
      }
    }
  }
}

int HttpLobby::MillisecondsToNextEnd(TimePoint now) const {
  std::chrono::milliseconds least{-1};  // for ever
  for (std::size_t i = 0; i < kRooms; ++i) {
    if (rooms_[i].empty()) continue;
    const auto end = rooms_[i].begin()->second.since + patience_[i];
    const auto left = std::max(std::chrono::milliseconds(0),
                               std::chrono::ceil<std::chrono::milliseconds>(end - now));
    if (least.count() < 0 || left < least) least = left;
  }
  constexpr std::chrono::milliseconds kLongest{3'600'000};  // epoll takes an int
  return static_cast<int>(std::min(least, kLongest).count());
}

}  // namespace elephas
