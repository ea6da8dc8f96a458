// A cache of one kind of object, decoded to what is needed of it, kept up to date by a Reflector.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/mutex.h"
#include "kube/guard.h"
#include "kube/watch/reflector.h"

namespace elephas::kube {

// T is small and has operator==: an event that changes nothing of T wakes nobody. Objects are
// shared and immutable; the cache holds no JSON. What reads the cache is thread-safe; one thread
// starts and stops it.
//
//   Informer<PodState> pods(client, kPod, {.label_selector = "…"}, hooks);
//   pods.Start();
//   if (!pods.WaitForSync(std::chrono::seconds(30))) …
template <typename T>
class Informer final : private ReflectorSink {
 public:
  using Ptr = std::shared_ptr<const T>;
  struct Hooks {
    // What to keep of an object; a Status for one that makes no sense, which is logged and left
    // out, as is one at which it throws.
    std::function<Result<T>(const nlohmann::json& object)> decode;
    // What changed; `old` is null for a new object, `now` for one that is gone. On the informer's
    // thread: enqueue a key and return.
    std::function<void(const ObjectName& name, const Ptr& old, const Ptr& now)> changed = {};
    // Objects are found again by this, see ByIndex; empty: none.
    std::function<std::string(const ObjectName& name, const T& object)> index = {};
  };

  // `client` and `observer` outlive it.
  Informer(Client& client, const Kind& kind, Reflector::Options options, Hooks hooks,
           ClientObserver& observer = NoObserver())
      : hooks_(std::move(hooks)),
        kind_(kind),
        observer_(observer),
        reflector_(client, kind, std::move(options), *this, observer) {}
  ~Informer() override { Stop(); }
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  void Start() {
    thread_ = std::jthread([this](const std::stop_token& stop) { reflector_.Run(stop); });
  }
  // Waits for the thread; a watch under way ends at once. The cache stays as it is.
  void Stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  // True once the first list is in the cache. False when that takes longer than `timeout`.
  bool WaitForSync(std::chrono::milliseconds timeout) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!synced_ && synced_changed_.WaitUntil(mutex_, deadline)) {
    }
    return synced_;
  }
  [[nodiscard]] bool synced() const {
    const MutexLock lock(mutex_);
    return synced_;
  }

  // Null when there is none.
  [[nodiscard]] Ptr Get(const ObjectName& name) const {
    const MutexLock lock(mutex_);
    const auto found = objects_.find(name);
    return found == objects_.end() ? nullptr : found->second;
  }
  // In order of namespace and name.
  [[nodiscard]] std::vector<std::pair<ObjectName, Ptr>> All() const {
    const MutexLock lock(mutex_);
    return {objects_.begin(), objects_.end()};
  }
  // Those whose index is `key`, in order of namespace and name.
  [[nodiscard]] std::vector<std::pair<ObjectName, Ptr>> ByIndex(const std::string& key) const {
    const MutexLock lock(mutex_);
    std::vector<std::pair<ObjectName, Ptr>> matching;
    const auto names = by_index_.find(key);
    if (names == by_index_.end()) return matching;
    for (const ObjectName& name : names->second) matching.emplace_back(name, objects_.at(name));
    return matching;
  }
  [[nodiscard]] std::size_t size() const {
    const MutexLock lock(mutex_);
    return objects_.size();
  }

 private:
  void ListBegins() override {
    listing_ = true;
    listed_.clear();
  }
  void ListEnds() override {
    std::vector<ObjectName> gone;
    {
      const MutexLock lock(mutex_);
      for (const auto& [name, object] : objects_) {
        if (!listed_.contains(name)) gone.push_back(name);
      }
    }
    listing_ = false;
    listed_.clear();
    for (const ObjectName& name : gone) Deleted(name);
    const MutexLock lock(mutex_);
    synced_ = true;
    synced_changed_.NotifyAll();
  }
  void Seen(nlohmann::json object) override {
    const ObjectName name = NameOf(object);
    if (listing_) listed_.insert(name);
    auto decoded = Guarded(observer_, "decode", ToString(name),
                           [&] { return Result<T>(hooks_.decode(object)); });
    object = nullptr;
    if (!decoded.ok()) {
      LogWarning(
          "object is left out",
          {{"kind", kind_.kind}, {"name", ToString(name)}, {"error", decoded.status().message()}});
      return Deleted(name);
    }
    Put(name, std::make_shared<const T>(std::move(*decoded)));
  }
  void Deleted(const ObjectName& name) override ELEPHAS_EXCLUDES(mutex_) { Put(name, nullptr); }

  // `now` null: takes it out.
  void Put(const ObjectName& name, const Ptr& now) ELEPHAS_EXCLUDES(mutex_) {
    Ptr old;
    {
      const MutexLock lock(mutex_);
      const auto found = objects_.find(name);
      if (found != objects_.end()) old = found->second;
      if (old == now || (old != nullptr && now != nullptr && *old == *now)) return;
      if (old != nullptr) Unindex(name, *old);
      if (now == nullptr) {
        objects_.erase(found);
      } else {
        if (hooks_.index) by_index_[hooks_.index(name, *now)].insert(name);
        objects_[name] = now;
      }
    }
    if (!hooks_.changed) return;
    // What is in the cache is right all the same; whoever reads it again sees it.
    (void)Guarded(observer_, "changed", ToString(name), [&] { hooks_.changed(name, old, now); });
  }
  void Unindex(const ObjectName& name, const T& object) ELEPHAS_REQUIRES(mutex_) {
    if (!hooks_.index) return;
    const auto found = by_index_.find(hooks_.index(name, object));
    if (found == by_index_.end()) return;
    found->second.erase(name);
    if (found->second.empty()) by_index_.erase(found);
  }

  const Hooks hooks_;
  const Kind kind_;
  ClientObserver& observer_;
  Reflector reflector_;
  // The informer's thread only.
  bool listing_ = false;
  std::set<ObjectName> listed_;  // by the list under way
  mutable Mutex mutex_;
  CondVar synced_changed_;
  std::map<ObjectName, Ptr> objects_ ELEPHAS_GUARDED_BY(mutex_);
  std::map<std::string, std::set<ObjectName>> by_index_ ELEPHAS_GUARDED_BY(mutex_);
  bool synced_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace elephas::kube
