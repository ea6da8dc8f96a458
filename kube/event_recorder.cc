#include "kube/event_recorder.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "common/base/log.h"
#include "common/base/timestamp.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "kube/guard.h"

namespace elephas::kube {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxMessage = 1'024;  // what the API takes
constexpr std::size_t kMaxSubjectName = 230;
constexpr int kMaxTries = 5;
constexpr std::chrono::seconds kTryAgain{2};
constexpr std::chrono::seconds kLastWords{2};
constexpr const char* kCombined = "(combined from similar events)";

// Forgets what is oldest once a map has grown too large.
template <typename Map, typename Age>
void Bound(Map& map, std::size_t most, Age age) {
  if (map.size() <= most) return;
  map.erase(std::min_element(map.begin(), map.end(), [&](const auto& a, const auto& b) {
    return age(a.second) < age(b.second);
  }));
}

}  // namespace

EventRecorder::EventRecorder(Client& client, const Clock& clock, Options options,
                             ClientObserver& observer)
    : client_(client), clock_(clock), options_(std::move(options)), observer_(observer) {}

void EventRecorder::Record(const EventSubject& subject, EventType type, const std::string& reason,
                           const std::string& message) {
  const MutexLock lock(mutex_);
  const auto now = clock_.Now();
  if (!Admit(subject, now)) return;
  Waiting event{subject,
                {subject.uid, type == EventType::kNormal ? "Normal" : "Warning", reason,
                 Shortened(ValidUtf8(message), kMaxMessage)},
                clock_.UnixMillis()};
  Combine(event.identity, now);
  if (waiting_.size() >= options_.max_waiting) {
    waiting_.pop_front();
    if (++dropped_ == 1) LogWarning("events are dropped, the API server does not take them");
  }
  waiting_.push_back(std::move(event));
  changed_.notify_all();
}

bool EventRecorder::Admit(const EventSubject& subject, Clock::TimePoint now) {
  const auto [found, is_new] =
      buckets_.emplace(subject.uid, Bucket{static_cast<double>(options_.burst), now});
  Bucket& bucket = found->second;
  const std::chrono::duration<double> passed = now - bucket.filled;
  const std::chrono::duration<double> refill = options_.refill;
  bucket.tokens = std::min(static_cast<double>(options_.burst),
                           bucket.tokens + passed.count() / refill.count());
  bucket.filled = now;
  const bool admitted = bucket.tokens >= 1;
  if (admitted) bucket.tokens -= 1;
  Bound(buckets_, options_.max_remembered, [](const Bucket& other) { return other.filled; });
  return admitted;
}

void EventRecorder::Combine(Identity& identity, Clock::TimePoint now) {
  Similar& similar = similar_[identity.uid + "/" + identity.type + "/" + identity.reason];
  if (similar.messages == 0 || now - similar.since >= options_.same_within) similar = {0, now};
  if (++similar.messages > options_.similar) {
    identity.message = Shortened(kCombined + (": " + identity.message), kMaxMessage);
  }
  Bound(similar_, options_.max_remembered, [](const Similar& other) { return other.since; });
}

void EventRecorder::Flush() {
  const MutexLock write_lock(write_mutex_);
  for (;;) {
    Waiting event;
    {
      const MutexLock lock(mutex_);
      if (waiting_.empty()) return;
      event = std::move(waiting_.front());
      waiting_.pop_front();
      dropped_ = 0;
    }
    const Status written = Guarded(observer_, "event", ToString(event.subject.name), [&] {
      write_mutex_.AssertHeld();
      return Write(event);
    });
    if (written.ok()) continue;
    if (written.retryable() && ++event.tries < kMaxTries) {
      const MutexLock lock(mutex_);
      waiting_.push_front(std::move(event));
      return;
    }
    LogWarning("event is not written", {{"about", ToString(event.subject.name)},
                                        {"reason", event.identity.reason},
                                        {"error", written.message()}});
  }
}

Status EventRecorder::Write(const Waiting& event) {
  const auto now = clock_.Now();
  // All combined Events of a reason are one, with the newest message.
  Identity key = event.identity;
  if (key.message.starts_with(kCombined)) key.message = kCombined;
  const auto found = written_.find(key);
  if (found == written_.end() || now - found->second.last >= options_.same_within) {
    return WriteNew(event, now);
  }
  Written& before = found->second;
  const json more{
      // With its uid: an Event that the server has forgotten must not come back in part.
      {"metadata",
       {{"namespace", before.name.ns}, {"name", before.name.name}, {"uid", before.uid}}},
      {"count", before.count + 1},
      {"message", event.identity.message},
      {"lastTimestamp", TimeText(event.unix_millis)}};
  const auto applied =
      client_.Apply(kEvent, more, {.field_manager = options_.component, .force = true});
  if (!applied.ok()) {
    if (applied.status().retryable()) return applied.status();
    return WriteNew(event, now);
  }
  ++before.count;
  before.last = now;
  return OkStatus();
}

Status EventRecorder::WriteNew(const Waiting& event, Clock::TimePoint now) {
  const EventSubject& subject = event.subject;
  std::array<char, 40> suffix{};
  std::snprintf(suffix.data(), suffix.size(), ".%llx%llx",
                static_cast<unsigned long long>(event.unix_millis),
                static_cast<unsigned long long>(next_++));
  const std::string time = TimeText(event.unix_millis);
  json object{
      {"metadata",
       {{"namespace", subject.name.ns.empty() ? "default" : subject.name.ns},
        {"name", std::string(Utf8Head(subject.name.name, kMaxSubjectName)) + suffix.data()}}},
      {"involvedObject",
       {{"apiVersion", subject.kind.ApiVersion()},
        {"kind", subject.kind.kind},
        {"namespace", subject.name.ns},
        {"name", subject.name.name},
        {"uid", subject.uid}}},
      {"type", event.identity.type},
      {"reason", event.identity.reason},
      {"message", event.identity.message},
      {"source", {{"component", options_.component}}},
      {"reportingComponent", options_.component},
      {"reportingInstance", options_.instance},
      {"firstTimestamp", time},
      {"lastTimestamp", time},
      {"count", 1}};
  if (!subject.resource_version.empty()) {
    object["involvedObject"]["resourceVersion"] = subject.resource_version;
  }
  auto created = client_.Create(kEvent, object);
  if (!created.ok()) return created.status();
  Identity key = event.identity;
  if (key.message.starts_with(kCombined)) key.message = kCombined;
  if (const auto old = written_.find(key); old != written_.end()) {
    ages_.erase(old->second.age);
    written_.erase(old);
  }
  written_[key] = {NameOf(*created), TextAt(*created, "/metadata/uid"), 1, now,
                   ages_.insert(ages_.end(), key)};
  if (written_.size() > options_.max_remembered) {
    written_.erase(ages_.front());
    ages_.pop_front();
  }
  return OkStatus();
}

void EventRecorder::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void EventRecorder::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void EventRecorder::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      const MutexLock lock(mutex_);
      changed_.wait(mutex_, stop, [this] {
        mutex_.AssertHeld();
        return !waiting_.empty();
      });
    }
    (void)Guarded(observer_, "event", options_.component, [this] { Flush(); });
    const MutexLock lock(mutex_);
    // The server did not take what is left: it gets a pause.
    if (!waiting_.empty()) changed_.wait_for(mutex_, stop, kTryAgain, [] { return false; });
  }
  const auto end = std::chrono::steady_clock::now() + kLastWords;
  for (;;) {
    (void)Guarded(observer_, "event", options_.component, [this] { Flush(); });
    const MutexLock lock(mutex_);
    if (waiting_.empty() || std::chrono::steady_clock::now() >= end) return;
  }
}

}  // namespace elephas::kube
