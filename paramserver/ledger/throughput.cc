#include "paramserver/ledger/throughput.h"

namespace elephas {

namespace {
constexpr std::chrono::milliseconds kBetweenSamples{50};
constexpr std::chrono::seconds kWindow{5};
}  // namespace

void Throughput::Add(Clock::TimePoint now, std::int64_t total) {
  if (samples_.size() >= 2 && now - samples_[samples_.size() - 2].time < kBetweenSamples) {
    samples_.back() = {now, total};
  } else {
    samples_.push_back({now, total});
  }
  while (samples_.size() > 2 && now - samples_[1].time > kWindow) samples_.pop_front();
}

double Throughput::ExamplesPerSecond() const {
  if (samples_.size() < 2) return 0;
  const double seconds =
      std::chrono::duration<double>(samples_.back().time - samples_.front().time).count();
  if (seconds <= 0) return 0;
  return static_cast<double>(samples_.back().total - samples_.front().total) / seconds;
}

}  // namespace elephas
