// List and watch: keeps telling a sink what the cluster holds of one kind.
//
// First a list, in pages; then a watch from where the list was; when the watch ends, another one
// from the last version seen, so that nothing is read twice. Bookmarks move that version on while
// nothing happens. Only when the server no longer knows it (kGone) comes a new list.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <stop_token>
#include <string>

#include "kube/client.h"
#include "kube/observer.h"

namespace elephas::kube {

// Called on the reflector's thread only.
class ReflectorSink {
 public:
  virtual ~ReflectorSink() = default;
  // A list begins; what it does not name until ListEnds is gone.
  virtual void ListBegins() = 0;
  virtual void ListEnds() = 0;
  virtual void Seen(nlohmann::json object) = 0;  // new, changed, or in a list
  virtual void Deleted(const ObjectName& name) = 0;
};

class Reflector {
 public:
  // Waits, or returns early when `stop` says so.
  using Sleep = std::function<void(std::chrono::milliseconds, const std::stop_token& stop)>;
  struct Options {
    std::string ns = {};  // empty: all namespaces
    std::string label_selector = {}, field_selector = {};
    std::int64_t page_size = 50;  // what is parsed at a time; bounds the memory of a list
    // A watch lasts between one and two of these, so that those of many replicas do not end
    // together.
    std::chrono::milliseconds watch_duration{300'000};
    std::chrono::milliseconds first_pause{200}, longest_pause{30'000};  // between failures
    std::uint64_t seed = 0;  // of the jitter; 0: another one in each process
    Sleep sleep = {};        // for tests
  };

  // `client`, `sink` and `observer` outlive it.
  Reflector(Client& client, const Kind& kind, Options options, ReflectorSink& sink,
            ClientObserver& observer = NoObserver());

  // Blocks until `stop`. Failures are logged and tried again, with pauses that grow; what the sink
  // throws counts as one of them.
  void Run(const std::stop_token& stop);

  // The last version seen; empty before the first list.
  [[nodiscard]] const std::string& resource_version() const { return version_; }

 private:
  void RunOnce(const std::stop_token& stop);
  Status ListAll();
  Status WatchOnce(const std::stop_token& stop);
  void Pause(const Status& why, const std::stop_token& stop);
  std::chrono::milliseconds Jittered(std::chrono::milliseconds pause);

  Client& client_;
  const Kind kind_;
  const Options options_;
  ReflectorSink& sink_;
  ClientObserver& observer_;
  std::string version_;
  bool heard_ = false;  // something in the present watch
  int failures_ = 0;
  std::mt19937_64 random_;
};

}  // namespace elephas::kube
