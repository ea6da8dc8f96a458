#include "paramserver/job/peer_table.h"

#include <algorithm>

namespace elephas {

PeerTable::PeerTable(std::int64_t servers) : peers_(static_cast<std::size_t>(servers - 1)) {}

bool PeerTable::Register(std::int64_t index, const std::string& boot, const std::string& url,
                         Incarnation incarnation, const std::vector<std::int64_t>& cuts) {
  Peer& peer = peers_[static_cast<std::size_t>(index - 1)];
  const bool started_again = peer.boot != boot;
  peer = {boot, url, incarnation, cuts, true};
  return started_again;
}

void PeerTable::AskAllBut(std::int64_t index) {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    if (static_cast<std::int64_t>(i) + 1 != index) peers_[i].heard = false;
  }
}

bool PeerTable::AllHeard() const {
  return std::ranges::all_of(peers_, [](const Peer& peer) { return peer.heard; });
}

Incarnation PeerTable::NewestIncarnation() const {
  Incarnation newest;
  for (const Peer& peer : peers_) newest = std::max(newest, peer.incarnation);
  return newest;
}

bool PeerTable::AllAt(Incarnation incarnation) const {
  return std::ranges::all_of(peers_,
                             [&](const Peer& peer) { return peer.incarnation == incarnation; });
}

std::int64_t PeerTable::NewestCommonCut(const std::vector<std::int64_t>& own) const {
  std::int64_t newest = 0;
  for (const std::int64_t cut : own) {
    const bool common = std::ranges::all_of(peers_, [&](const Peer& peer) {
      return std::ranges::find(peer.cuts, cut) != peer.cuts.end();
    });
    if (common) newest = std::max(newest, cut);
  }
  return newest;
}

std::vector<std::string> PeerTable::Urls(const std::string& own) const {
  std::vector<std::string> urls{own};
  for (const Peer& peer : peers_) urls.push_back(peer.url);
  return urls;
}

}  // namespace elephas
