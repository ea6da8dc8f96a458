#include "operator/progress_poller.h"

#include <algorithm>
#include <tuple>

#include "common/base/log.h"
#include "common/http/client.h"
#include "kube/guard.h"

namespace elephas {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{1'000};
// Of one job. More workers than that do not die between two errands; leases expire by themselves.
constexpr std::size_t kMaxErrands = 32;
// With so many slow servers in a namespace one that has not answered yet counts as slow, too.
constexpr int kSuspicious = 4;
constexpr int kMaxDoublings = 10;
// After an exception that was none of a job's.
constexpr milliseconds kBreath{100};

}  // namespace

Result<std::string> SendToServer(const ServerAddress& address, const char* method,
                                 const std::string& target) {
  HttpClient client({.base_url = address.url,
                     .token = address.token,
                     .connect_timeout = kPatience,
                     .request_timeout = kPatience,
                     .max_body = kMaxStatusBytes});
  ELEPHAS_ASSIGN_OR_RETURN(HttpResponse reply, client.Send(method, target, {}, {}, kPatience));
  if (reply.status / 100 != 2) {
    return Unavailable(address.url + " answers " + std::to_string(reply.status));
  }
  return std::move(reply.body);
}

// Is made with the poller's mutex held and destroyed without, for its destructor takes it. It holds
// copies, because the entry may be forgotten meanwhile.
struct ProgressPoller::Task {
  Task(ProgressPoller& the_poller, Entries::iterator entry) ELEPHAS_REQUIRES(the_poller.mutex_)
      : poller(the_poller),
        uid(entry->first),
        job(entry->second.job),
        address(entry->second.address),
        slow(poller.IsSlow(entry->second)) {
    entry->second.in_flight = true;
    Count(1);
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    const MutexLock lock(poller.mutex_);
    Count(-1);
    if (const auto found = poller.entries_.find(uid); found != poller.entries_.end()) {
      found->second.in_flight = false;
    }
    poller.changed_.NotifyAll();
  }
  void Count(int change) const ELEPHAS_REQUIRES(poller.mutex_) {
    Share& share = poller.shares_[job.ns];
    share.in_flight += change;
    if (slow) share.slow_in_flight += change;
    if (slow) poller.slow_in_flight_ += change;
    if (share.in_flight == 0) poller.shares_.erase(job.ns);
  }

  ProgressPoller& poller;
  const std::string uid;
  const kube::ObjectName job;
  const ServerAddress address;
  const bool slow;
};

ProgressPoller::ProgressPoller(Options options, Send send, Wake wake,
                               kube::ClientObserver& observer)
    : options_(options), send_(std::move(send)), wake_(std::move(wake)), observer_(observer) {
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Run(); });
}

ProgressPoller::~ProgressPoller() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void ProgressPoller::Follow(const std::string& uid, const kube::ObjectName& job,
                            const ServerAddress& address) {
  const MutexLock lock(mutex_);
  Entry& entry = entries_[uid];
  if (entry.address == address) return;
  entry.job = job;
  entry.address = address;
  entry.due = std::chrono::steady_clock::now();
  changed_.NotifyAll();
}

void ProgressPoller::Pause(const std::string& uid) {
  const MutexLock lock(mutex_);
  if (const auto found = entries_.find(uid); found != entries_.end()) found->second.address = {};
}

void ProgressPoller::Forget(const std::string& uid) {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(uid);
  if (found == entries_.end()) return;
  if (found->second.slow_in_a_row > 0 && --slow_jobs_[found->second.job.ns] <= 0) {
    slow_jobs_.erase(found->second.job.ns);
  }
  entries_.erase(found);
}

std::optional<Progress> ProgressPoller::Latest(const std::string& uid) const {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(uid);
  return found == entries_.end() ? std::nullopt : found->second.latest;
}

void ProgressPoller::GiveBack(const std::string& uid, const kube::ObjectName& job,
                              const ServerAddress& address, const std::string& worker) {
  const MutexLock lock(mutex_);
  Entry& entry = entries_[uid];
  entry.job = job;
  if (entry.errands.size() >= kMaxErrands) return;
  entry.errands.push_back({address, worker});
  changed_.NotifyAll();
}

milliseconds ProgressPoller::Interval(const Entry& entry) const {
  const milliseconds fair(static_cast<std::int64_t>(1000.0 * static_cast<double>(entries_.size()) /
                                                    options_.per_second));
  const milliseconds usual = std::max(options_.interval, fair);
  if (entry.slow_in_a_row == 0) return usual;
  const milliseconds doubled =
      options_.interval * (std::int64_t{1} << std::min(entry.slow_in_a_row, kMaxDoublings));
  return std::max(usual, std::min(doubled, options_.longest_interval));
}

bool ProgressPoller::IsSlow(const Entry& entry) const {
  if (entry.slow_in_a_row > 0) return true;
  const auto others = slow_jobs_.find(entry.job.ns);
  return !entry.answered && others != slow_jobs_.end() && others->second >= kSuspicious;
}

bool ProgressPoller::MayStart(const Entry& entry, Time now) const {
  if (entry.in_flight) return false;
  // A slow server's errands wait like its questions: the leases expire meanwhile.
  const bool errand = !entry.errands.empty() && (entry.slow_in_a_row == 0 || entry.due <= now);
  if (!errand && (entry.address.url.empty() || entry.due > now)) return false;
  const auto found = shares_.find(entry.job.ns);
  const Share share = found == shares_.end() ? Share() : found->second;
  if (share.in_flight >= options_.threads_per_namespace) return false;
  if (!IsSlow(entry)) return true;
  return share.slow_in_flight == 0 && slow_in_flight_ < options_.threads_for_slow;
}

ProgressPoller::Entries::iterator ProgressPoller::Next(Time now) {
  auto next = entries_.end();
  const auto order = [](const Entry& entry) {
    return std::tuple(entry.slow_in_a_row, entry.errands.empty(), entry.due);
  };
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (!MayStart(entry->second, now)) continue;
    if (next == entries_.end() || order(entry->second) < order(next->second)) next = entry;
  }
  return next;
}

std::optional<ProgressPoller::Time> ProgressPoller::NextDue(Time now) const {
  std::optional<Time> due;
  for (const auto& [uid, entry] : entries_) {
    const bool idle = entry.address.url.empty() && entry.errands.empty();
    // Of one that is due and may not start the end of another task tells.
    if (idle || entry.in_flight || entry.due <= now) continue;
    due = std::min(due.value_or(entry.due), entry.due);
  }
  return due;
}

void ProgressPoller::Run() {
  for (;;) {
    bool goes_on = true;
    const Status done =
        kube::Guarded(observer_, "poll", "", [this, &goes_on] { goes_on = RunOne(); });
    if (!goes_on) return;
    if (!done.ok()) std::this_thread::sleep_for(kBreath);
  }
}

bool ProgressPoller::RunOne() {
  MutexLock lock(mutex_);
  if (stop_) return false;
  const Time now = std::chrono::steady_clock::now();
  const auto next = Next(now);
  if (next == entries_.end()) {
    const auto due = NextDue(now);
    due ? (void)changed_.WaitUntil(mutex_, *due) : changed_.Wait(mutex_);
    return true;
  }
  std::optional<Errand> errand;
  if (!next->second.errands.empty()) {
    errand = std::move(next->second.errands.front());
    next->second.errands.pop_front();
  }
  std::optional<Task> task;
  task.emplace(*this, next);
  lock.Unlock();
  errand ? Tell(*task, *errand) : Ask(*task);
  return true;
}

void ProgressPoller::Tell(const Task& task, const Errand& errand) {
  const Time start = std::chrono::steady_clock::now();
  const auto told = kube::Guarded(observer_, "give-back", ToString(task.job), [&] {
    return send_(errand.address, "DELETE", "/v1/workers/" + errand.worker);
  });
  LogDebug("leases given back",
           {{"worker", errand.worker}, {"message", told.ok() ? "" : told.status().message()}});
  const MutexLock lock(mutex_);
  Took(task, std::chrono::steady_clock::now() - start, told.ok());
}

void ProgressPoller::Ask(const Task& task) {
  const Time start = std::chrono::steady_clock::now();
  // A server that is starting, restarting or gone has nothing to say; its pod tells the rest.
  auto answer = kube::Guarded(
      observer_, "poll", ToString(task.job), [&]() -> Result<std::optional<Progress>> {
        ELEPHAS_ASSIGN_OR_RETURN(const std::string body,
                                 send_(task.address, "GET", "/v1/status?brief=true"));
        return ProgressFromText(body);
      });
  {
    const MutexLock lock(mutex_);
    Took(task, std::chrono::steady_clock::now() - start, answer.ok());
    const auto found = entries_.find(task.uid);
    if (found == entries_.end()) return;  // forgotten meanwhile
    Entry& now = found->second;
    // The job's server moved while the old one was asked: Follow has made the new one due.
    if (now.address != task.address) return;
    now.due = std::chrono::steady_clock::now() + Interval(now);
    if (!answer.ok() || !*answer || *answer == now.latest) return;
    now.latest = *std::move(answer);
  }
  wake_(task.job);
}

void ProgressPoller::Took(const Task& task, std::chrono::steady_clock::duration time,
                          bool answered) {
  const auto found = entries_.find(task.uid);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  const bool was_slow = entry.slow_in_a_row > 0, slow = time > options_.slow;
  entry.slow_in_a_row = slow ? entry.slow_in_a_row + 1 : 0;
  entry.answered = entry.answered || (answered && !slow);
  // Of a server that has moved meanwhile the new address is due already.
  if (slow && entry.address == task.address) {
    entry.due = std::chrono::steady_clock::now() + Interval(entry);
  }
  if (slow == was_slow) return;
  int& jobs = slow_jobs_[entry.job.ns];
  jobs += slow ? 1 : -1;
  if (jobs <= 0) slow_jobs_.erase(entry.job.ns);
}

}  // namespace elephas
