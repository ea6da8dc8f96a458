#include "worker/metrics/work_meter.h"

namespace elephas {
namespace {

thread_local WorkMeter::Timer* innermost = nullptr;

}  // namespace

WorkMeter::WorkMeter(const Clock& clock) : clock_(clock) {
  counts_.activities.assign(kActivities, Histogram(kLatencyBounds));
}

WorkMeter::Timer::Timer(WorkMeter& meter, Activity activity)
    : meter_(meter), activity_(activity), outer_(innermost), start_(meter.clock_.Now()) {
  innermost = this;
}

WorkMeter::Timer::~Timer() {
  const auto whole = meter_.clock_.Now() - start_;
  innermost = outer_;
  if (outer_ != nullptr) outer_->inner_ += whole;
  meter_.Observe(activity_, whole - inner_);
}

void WorkMeter::Observe(Activity activity, Clock::TimePoint::duration time) {
  const MutexLock lock(mutex_);
  counts_.activities[static_cast<std::size_t>(activity)].Observe(
      std::chrono::duration<double>(time).count());
}

void WorkMeter::CountStep(WorkKind kind, std::int64_t examples) {
  const MutexLock lock(mutex_);
  counts_.kinds[kind].examples += static_cast<std::uint64_t>(examples);
  ++counts_.kinds[kind].steps;
}

void WorkMeter::CountTask(WorkKind kind, bool done) {
  const MutexLock lock(mutex_);
  ++(done ? counts_.kinds[kind].done : counts_.kinds[kind].failed);
}

void WorkMeter::CountJoin() {
  const MutexLock lock(mutex_);
  ++counts_.joins;
}

void WorkMeter::CountExchanged(std::uint64_t received_bytes, std::uint64_t sent_bytes) {
  const MutexLock lock(mutex_);
  counts_.received_bytes += received_bytes;
  counts_.sent_bytes += sent_bytes;
}

void WorkMeter::CountExchangeError() {
  const MutexLock lock(mutex_);
  ++counts_.exchange_errors;
}

WorkMeter::Counts WorkMeter::Read() const {
  const MutexLock lock(mutex_);
  return counts_;
}

}  // namespace elephas
