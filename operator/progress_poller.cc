#include "operator/progress_poller.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/http_client.h"
#include "common/log.h"

namespace elephas {

namespace {

constexpr std::chrono::milliseconds kPatience{1'000};
constexpr std::size_t kMaxBody = std::size_t{4} << 20;
constexpr std::size_t kMaxErrands = 1'000;

}  // namespace

Result<std::string> SendToServer(const ServerAddress& address, const char* method,
                                 const std::string& target) {
  HttpClient client({.base_url = address.url,
                     .token = address.token,
                     .connect_timeout = kPatience,
                     .max_body = kMaxBody});
  ELEPHAS_ASSIGN_OR_RETURN(HttpResponse reply, client.Send(method, target, {}, {}, kPatience));
  if (reply.status / 100 != 2) {
    return Unavailable(address.url + " answers " + std::to_string(reply.status));
  }
  return std::move(reply.body);
}

ProgressPoller::ProgressPoller(Options options, Send send, Wake wake)
    : options_(options), send_(std::move(send)), wake_(std::move(wake)) {
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Run(); });
}

ProgressPoller::~ProgressPoller() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ProgressPoller::Follow(const std::string& uid, const kube::ObjectName& job,
                            const ServerAddress& address) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[uid];
  if (entry.address == address) return;
  entry.job = job;
  entry.address = address;
  entry.due = std::chrono::steady_clock::now();
  changed_.notify_one();
}

void ProgressPoller::Pause(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(uid); found != entries_.end()) found->second.address = {};
}

void ProgressPoller::Forget(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  entries_.erase(uid);
}

std::optional<Progress> ProgressPoller::Latest(const std::string& uid) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(uid);
  return found == entries_.end() ? std::nullopt : found->second.latest;
}

void ProgressPoller::GiveBack(const ServerAddress& address, const std::string& worker) {
  const std::lock_guard lock(mutex_);
  if (errands_.size() >= kMaxErrands) return;  // leases expire by themselves
  errands_.push_back({address, worker});
  changed_.notify_one();
}

std::chrono::milliseconds ProgressPoller::Interval() const {
  const auto fair = std::chrono::milliseconds(static_cast<std::int64_t>(
      1000.0 * static_cast<double>(entries_.size()) / options_.per_second));
  return std::max(options_.interval, fair);
}

ProgressPoller::Entries::iterator ProgressPoller::NextDue() {
  auto next = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.address.url.empty() || entry->second.in_flight) continue;
    if (next == entries_.end() || entry->second.due < next->second.due) next = entry;
  }
  return next;
}

void ProgressPoller::Run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (!errands_.empty()) {
      const Errand errand = std::move(errands_.front());
      errands_.pop_front();
      lock.unlock();
      const auto told = send_(errand.address, "DELETE", "/v1/workers/" + errand.worker);
      LogDebug("leases given back",
               {{"worker", errand.worker}, {"message", told.ok() ? "" : told.status().message()}});
      lock.lock();
      continue;
    }
    const auto next = NextDue();
    if (next == entries_.end()) {
      changed_.wait(lock);
    } else if (const Time due = next->second.due; due > std::chrono::steady_clock::now()) {
      changed_.wait_until(lock, due);
    } else {
      Ask(next, lock);
    }
  }
}

void ProgressPoller::Ask(Entries::iterator entry, std::unique_lock<std::mutex>& lock) {
  const std::string uid = entry->first;
  const ServerAddress address = entry->second.address;
  entry->second.in_flight = true;
  lock.unlock();
  // A server that is starting, restarting or gone has nothing to say; its pod tells the rest.
  const auto body = send_(address, "GET", "/v1/status");
  auto progress =
      body.ok()
          ? ProgressFromStatus(nlohmann::json::parse(*body, nullptr, /*allow_exceptions=*/false))
          : std::nullopt;
  lock.lock();
  const auto found = entries_.find(uid);
  if (found == entries_.end()) return;  // forgotten meanwhile
  Entry& now = found->second;
  now.in_flight = false;
  // The job's server moved while the old one was asked: Follow has made the new one due.
  if (now.address != address) return;
  now.due = std::chrono::steady_clock::now() + Interval();
  if (!progress || progress == now.latest) return;
  now.latest = std::move(progress);
  const kube::ObjectName job = now.job;
  lock.unlock();
  wake_(job);
  lock.lock();
}

}  // namespace elephas
