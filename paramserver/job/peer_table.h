// What server 0 knows of servers 1..n-1, and whether they agree on an incarnation. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/named_type.h"

namespace elephas {

class PeerTable {
 public:
  // `servers` counts server 0.
  explicit PeerTable(std::int64_t servers);

  // True when this process of the server was not known: parameters may have been lost, so a new
  // incarnation is due. Precondition: 1 <= index < servers.
  bool Register(std::int64_t index, const std::string& boot, const std::string& url,
                Incarnation incarnation, const std::vector<std::int64_t>& cuts);
  // What the others have told is out of date: a cut they had may be gone by now.
  void AskAllBut(std::int64_t index);
  // True when every server has registered since it was last asked.
  [[nodiscard]] bool AllHeard() const;
  [[nodiscard]] bool AllAt(Incarnation incarnation) const;
  [[nodiscard]] Incarnation NewestIncarnation() const;
  // The newest cut in `own` that every other server has too; 0: none.
  [[nodiscard]] std::int64_t NewestCommonCut(const std::vector<std::int64_t>& own) const;
  // Base URLs by index, `own` first.
  [[nodiscard]] std::vector<std::string> Urls(const std::string& own) const;

 private:
  struct Peer {
    std::string boot, url;  // empty: never heard of
    Incarnation incarnation;
    std::vector<std::int64_t> cuts;
    bool heard = false;
  };
  std::vector<Peer> peers_;  // of server i + 1
};

}  // namespace elephas
