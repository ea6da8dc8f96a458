#include "kube/watch/work_queue.h"

#include <algorithm>

namespace elephas::kube {

namespace {

using std::chrono::milliseconds;

// A pause in between lets a Get notice that a test has moved its clock; nothing depends on it.
constexpr milliseconds kLongestWait{1'000};

}  // namespace

WorkQueue::WorkQueue(const Clock& clock, Options options, ClientObserver& observer)
    : clock_(clock),
      options_(std::move(options)),
      observer_(observer),
      random_(options_.seed != 0 ? options_.seed : std::random_device()()) {}

void WorkQueue::Add(const ObjectName& key) {
  const MutexLock lock(mutex_);
  Enqueue(key, clock_.Now());
}

void WorkQueue::AddAfter(const ObjectName& key, milliseconds delay) {
  const MutexLock lock(mutex_);
  const auto now = clock_.Now();
  if (delay.count() <= 0) return Enqueue(key, now);
  DelayUntil(key, now + delay);
}

void WorkQueue::AddFailed(const ObjectName& key, milliseconds at_least) {
  const MutexLock lock(mutex_);
  const int before = failures_[key]++;
  // Beyond thirty doublings every pause is the longest one.
  const auto doubled = options_.first_pause * (std::int64_t{1} << std::min(before, 30));
  const auto pause = std::max(std::min(doubled, options_.longest_pause), at_least);
  const double share = std::uniform_real_distribution<double>(0, options_.jitter)(random_);
  DelayUntil(
      key, clock_.Now() + pause +
               milliseconds(static_cast<std::int64_t>(static_cast<double>(pause.count()) * share)));
  observer_.QueueRetry(options_.name);
}

void WorkQueue::Forget(const ObjectName& key) {
  const MutexLock lock(mutex_);
  failures_.erase(key);
}

int WorkQueue::failures(const ObjectName& key) const {
  const MutexLock lock(mutex_);
  const auto found = failures_.find(key);
  return found == failures_.end() ? 0 : found->second;
}

std::optional<ObjectName> WorkQueue::Get() {
  const MutexLock lock(mutex_);
  while (!shut_down_) {
    const auto now = clock_.Now();
    if (auto key = Pop(now)) return key;
    milliseconds wait = kLongestWait;
    if (!delayed_.empty()) {
      wait = std::clamp(std::chrono::ceil<milliseconds>(delayed_.begin()->first - now),
                        milliseconds(1), wait);
    }
    changed_.WaitFor(mutex_, wait);
  }
  return std::nullopt;
}

std::optional<ObjectName> WorkQueue::TryGet() {
  const MutexLock lock(mutex_);
  if (shut_down_) return std::nullopt;
  return Pop(clock_.Now());
}

void WorkQueue::Done(const ObjectName& key) {
  const MutexLock lock(mutex_);
  handled_.erase(key);
  if (!wanted_.contains(key)) return;
  ready_.push_back(key);
  observer_.QueueDepth(options_.name, ready_.size());
  changed_.NotifyOne();
}

void WorkQueue::ShutDown() {
  const MutexLock lock(mutex_);
  shut_down_ = true;
  ready_.clear();
  wanted_.clear();
  delayed_.clear();
  delayed_until_.clear();
  changed_.NotifyAll();
}

std::size_t WorkQueue::depth() const {
  const MutexLock lock(mutex_);
  return ready_.size();
}

void WorkQueue::Enqueue(const ObjectName& key, Clock::TimePoint now) {
  if (shut_down_ || !wanted_.emplace(key, now).second) return;
  if (handled_.contains(key)) return;  // Done puts it in
  ready_.push_back(key);
  observer_.QueueDepth(options_.name, ready_.size());
  changed_.NotifyOne();
}

void WorkQueue::DelayUntil(const ObjectName& key, Clock::TimePoint when) {
  if (shut_down_) return;
  const auto [found, is_new] = delayed_until_.emplace(key, when);
  if (!is_new) {
    if (found->second <= when) return;
    delayed_.erase({found->second, key});
    found->second = when;
  }
  delayed_.emplace(when, key);
  changed_.NotifyOne();
}

void WorkQueue::ReleaseDelayed(Clock::TimePoint now) {
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    const auto [when, key] = *delayed_.begin();
    delayed_.erase(delayed_.begin());
    delayed_until_.erase(key);
    Enqueue(key, when);
  }
}

std::optional<ObjectName> WorkQueue::Pop(Clock::TimePoint now) {
  ReleaseDelayed(now);
  if (ready_.empty()) return std::nullopt;
  ObjectName key = std::move(ready_.front());
  ready_.pop_front();
  const auto wanted = wanted_.find(key);
  const std::chrono::duration<double> waited = now - wanted->second;
  wanted_.erase(wanted);
  handled_.insert(key);
  observer_.QueueDepth(options_.name, ready_.size());
  observer_.QueueLatency(options_.name, waited.count());
  return key;
}

}  // namespace elephas::kube
