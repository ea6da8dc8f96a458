#include "paramserver/job/incarnations.h"

#include <algorithm>

namespace elephas {

Incarnations::Incarnations(std::int64_t servers, std::int64_t index, std::uint64_t seed)
    : coordinates_(index == 0), peers_(servers), seed_(seed) {}

bool Incarnations::Agreed() const {
  if (current_ == Incarnation(0)) return false;
  return !coordinates_ || peers_.AllAt(current_);
}

void Incarnations::Begin(Incarnation at_least) {
  current_ = std::max(at_least, Incarnation(last_.value() + 1));
  last_ = current_;
  cut_ = 0;
  run_.clear();
}

void Incarnations::StartFrom(std::int64_t cut, const std::string& run, Incarnation taken_in,
                             std::uint64_t seed) {
  current_ = std::max(current_, Incarnation(taken_in.value() + 1));
  last_ = current_;
  seed_ = seed;
  cut_ = cut;
  run_ = run;
}

void Incarnations::TakeUp(Incarnation incarnation, std::uint64_t seed) {
  current_ = last_ = incarnation;
  seed_ = seed;
}

void Incarnations::Seen(Incarnation newest) { seen_ = std::max(seen_, newest); }

bool Incarnations::Register(std::int64_t index, const PeerService::PeerReport& report) {
  return peers_.Register(index, report.boot, report.url, report.incarnation, report.cuts);
}

bool Incarnations::MustChoose(std::int64_t index, const PeerService::PeerReport& report,
                              bool started_again) {
  const bool lacks_cut = cut_ > 0 && std::ranges::find(report.cuts, cut_) == report.cuts.end();
  const bool cannot_follow =
      report.incarnation != current_ && (lacks_cut || report.newest >= current_);
  if (current_ != Incarnation(0) && (started_again || cannot_follow)) {
    // Parameters are lost. What the others told before may be out of date: they train on and remove
    // old checkpoints. Until all have told again, no incarnation is valid here.
    Lose();
    peers_.AskAllBut(index);
  }
  return current_ == Incarnation(0) && peers_.AllHeard();
}

Incarnations::Choice Incarnations::Choose(const std::vector<std::int64_t>& own,
                                          std::int64_t unix_millis) const {
  const std::int64_t seen =
      std::max({peers_.NewestIncarnation().value(), seen_.value(), last_.value()});
  return {peers_.NewestCommonCut(own), Incarnation(std::max(unix_millis, seen + 1))};
}

}  // namespace elephas
