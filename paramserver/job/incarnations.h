// Which incarnation counts, from what it started, and, on server 0, which one comes next: "restore
// cut N as incarnation M". The caller synchronises.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/named_type.h"
#include "paramserver/job/peer_service.h"
#include "paramserver/job/peer_table.h"

namespace elephas {

class Incarnations {
 public:
  // Of server `index` of `servers`; `seed` counts until a checkpoint or server 0 brings another.
  Incarnations(std::int64_t servers, std::int64_t index, std::uint64_t seed);

  // 0: the servers have not agreed yet.
  [[nodiscard]] Incarnation current() const { return current_; }
  // The newest that ever was the current one.
  [[nodiscard]] Incarnation last() const { return last_; }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  // What the current one started from: epochs, and the run whose checkpoint it was. 0 and empty:
  // from the beginning.
  [[nodiscard]] std::int64_t cut() const { return cut_; }
  [[nodiscard]] const std::string& run() const { return run_; }
  // The servers are in the current one, as far as this server can tell.
  [[nodiscard]] bool Agreed() const;

  // A new one, from the beginning; newer than all before it.
  void Begin(Incarnation at_least);
  // The current one starts from cut `cut` of `run`, taken in incarnation `taken_in`: it is newer.
  void StartFrom(std::int64_t cut, const std::string& run, Incarnation taken_in,
                 std::uint64_t seed);
  // Server 0's choice is taken up exactly.
  void TakeUp(Incarnation incarnation, std::uint64_t seed);
  // None is valid until the servers agree again.
  void Lose() { current_ = Incarnation(0); }

  // --- server 0 ---
  // What another server says is newest on its storage.
  void Seen(Incarnation newest);
  // True when the server was started again.
  bool Register(std::int64_t index, const PeerService::PeerReport& report);
  // Loses the current incarnation when server `index`, having reported so, cannot be in it. True: a
  // choice is due.
  bool MustChoose(std::int64_t index, const PeerService::PeerReport& report, bool started_again);
  struct Choice {
    std::int64_t cut = 0;  // 0: from the beginning
    Incarnation incarnation;
  };
  // The newest cut that all servers have, `own` being this one's, and an incarnation above all that
  // any server has seen, even when the clock went back.
  [[nodiscard]] Choice Choose(const std::vector<std::int64_t>& own, std::int64_t unix_millis) const;
  // Base URLs by index.
  [[nodiscard]] std::vector<std::string> Urls() const { return peers_.Urls(own_url_); }
  void SetOwnUrl(const std::string& url) { own_url_ = url; }

 private:
  const bool coordinates_;
  PeerTable peers_;
  std::string own_url_;
  Incarnation current_, last_;
  Incarnation seen_;  // the newest that any server told of
  std::uint64_t seed_;
  std::int64_t cut_ = 0;
  std::string run_;
};

}  // namespace elephas
