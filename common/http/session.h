// One connection of an HttpServer: reads requests one after another, asks the handler, writes the
// replies. It runs on a thread of its own. Only server.cc uses it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/http/deadline_stream.h"
#include "common/http/server.h"
#include "common/http/stream.h"

namespace elephas {

// A whole reply, header included, with which a connection is turned away and closed.
std::string RefusalReply(int status, std::string_view message);

// What a session does at the moment, and how another thread ends it without breaking a request that
// is being served. A few atomic steps for each request, no lock.
class SessionActivity {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // The session calls these. False: it was ended, and has to go.
  bool BecomeIdle(TimePoint now) { return Become(now.time_since_epoch().count()); }
  bool AwaitHeader(TimePoint now) { return Become(-now.time_since_epoch().count()); }
  bool Serve() { return Become(kServing); }

  // Its owner calls these. They tell since when the session is idle, or awaits the rest of a
  // header; nullopt when it does not.
  [[nodiscard]] std::optional<TimePoint> IdleSince() const { return Since(value_); }
  [[nodiscard]] std::optional<TimePoint> AwaitsHeaderSince() const { return Since(-value_); }
  // True when it was idle or awaited a header: it will not begin to serve another request.
  bool End() {
    std::int64_t value = value_;
    while (value != kServing && value != kEnded) {
      if (value_.compare_exchange_weak(value, kEnded)) return true;
    }
    return false;
  }

 private:
  static constexpr std::int64_t kServing = 0;
  static constexpr std::int64_t kEnded = INT64_MIN + 1;  // its negative is a number, too

  bool Become(std::int64_t value) {
    if (value_.exchange(value) != kEnded) return true;
    value_ = kEnded;
    return false;
  }
  static std::optional<TimePoint> Since(std::int64_t ticks) {
    if (ticks <= 0 || ticks == -kEnded) return std::nullopt;
    return TimePoint(TimePoint::duration(ticks));
  }

  // Serving, ended, idle since (a positive time) or awaiting a header since (a negative one).
  std::atomic<std::int64_t> value_ = kServing;
};

class HttpSession {
 public:
  enum class Outcome : std::uint8_t {
    kClose,
    kStillIdle,  // the connection may ask again, but not so soon that a thread should wait for it
    kAnswered,   // by RunOnce(): the peer is to read its reply, and then to go
  };
  // How long a thread waits for the next request on its connection: between the requests of a
  // worker that trains there is less, and beginning a thread again costs some ten microseconds.
  static constexpr std::chrono::milliseconds kWarm{1000};

  // Everything given by reference outlives the session. `stopping` set: no further request.
  HttpSession(SessionActivity& activity, const std::atomic<bool>& stopping, DeadlineStream stream,
              const HttpServer::Options& options, const HttpServer::Handler& handler);
  // Returns when the connection is to be closed (the destructor does) or is idle for longer.
  Outcome Run();
  // Serves one request and waits for nothing but its header.
  Outcome RunOnce();
  // Precondition: the outcome was not kClose.
  DeadlineStream TakeStream() { return std::move(stream_.stream()); }

 private:
  // False: the connection ends.
  bool ServeOne();
  void Refuse(int status, std::string_view message);
  bool WriteReply(const HttpReply& reply, bool head_only, bool keep_alive);
  // Lets the peer read the reply before unread bytes of its own break the connection.
  void Linger();

  SessionActivity& activity_;
  const std::atomic<bool>& stopping_;
  bool once_ = false;
  const HttpServer::Options& options_;
  const HttpServer::Handler& handler_;
  HttpStream stream_;
};

}  // namespace elephas
