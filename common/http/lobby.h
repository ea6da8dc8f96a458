// Where an HttpServer's connections wait as long as they need no thread: until the header of a
// request has arrived, and between two requests. A connection that says nothing, or drips its
// header, so costs a descriptor and nothing else.
//
// Only server.cc uses it, and only its accepting thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/http/deadline_stream.h"

namespace elephas {

class HttpLobby {
 public:
  using TimePoint = DeadlineStream::TimePoint;

  // Each has its own patience; in one room the oldest is always the first to run out of it.
  enum class Room : std::uint8_t {
    kNew,      // connected, and silent since
    kHeader,   // the header of its request has begun
    kIdle,     // has been served and may ask again
    kReserve,  // there is no seat for it: only a question about health is answered
    kLeaving,  // has its answer, and is read until it goes so that the answer arrives
  };
  static constexpr std::size_t kRooms = 5;
  using Patience = std::array<std::chrono::milliseconds, kRooms>;

  // Its first line, without the line's end, tells what a connection in kReserve wants.
  struct Arrival {
    DeadlineStream stream;
    Room room = Room::kNew;
    std::string first_line;
  };
  struct Woken {
    std::vector<std::uint64_t> watched;  // keys of Watch() that are readable
    std::vector<Arrival> arrivals;       // a whole header has come; no longer in the lobby
  };

  explicit HttpLobby(const Patience& patience) : patience_(patience) {}
  HttpLobby(const HttpLobby&) = delete;
  HttpLobby& operator=(const HttpLobby&) = delete;
  ~HttpLobby();  // closes everybody

  // Before anything else. kInternal without a descriptor for it.
  Status Open();
  // Also wakes when `fd` is readable; it stays the caller's. Keys are below kMostWatched.
  Status Watch(int fd, std::uint64_t key);
  static constexpr std::uint64_t kMostWatched = 8;

  void Enter(DeadlineStream stream, Room room);
  // Says `reply`, a whole one, and leaves with Room::kLeaving.
  void TurnAway(DeadlineStream stream, std::string_view reply);
  // Waits for the next event or for a patience that ends, ends what has run out of it, and tells
  // who is ready.
  Woken Wait();
  // Ends the oldest of the room if it has been in it for `age` or longer; false when there is none.
  bool End(Room room, std::chrono::milliseconds age);
  [[nodiscard]] std::size_t Count(Room room) const { return At(room).size(); }

 private:
  struct Guest {
    DeadlineStream stream;
    TimePoint since;
  };
  using Guests = std::map<std::uint64_t, Guest>;  // by key, so by age

  [[nodiscard]] Guests& At(Room room) { return rooms_[static_cast<std::size_t>(room)]; }
  [[nodiscard]] const Guests& At(Room room) const { return rooms_[static_cast<std::size_t>(room)]; }
  DeadlineStream TakeOut(Room room, Guests::iterator guest);
  void Hear(std::uint64_t key, std::uint32_t events, Woken& woken);
  void HearIn(Room room, Guests::iterator guest, bool last, Woken& woken);
  void EndExpired(TimePoint now);
  [[nodiscard]] int MillisecondsToNextEnd(TimePoint now) const;

  const Patience patience_;
  int epoll_ = -1;
  std::uint64_t next_key_ = kMostWatched;
  std::array<Guests, kRooms> rooms_;
};

}  // namespace elephas
