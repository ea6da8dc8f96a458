// One leader among several replicas, by a Lease.
//
// The rules are those of client-go. The holder renews the Lease; another takes it when it has not
// seen it change for the lease's whole duration *by its own clock*, so clocks of different machines
// need not agree. A holder that could not renew within the renew deadline stops leading before
// anybody else may start. Two replicas never lead at once as long as renew_deadline <
// lease_duration, and a leader asks leading() before it acts.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "kube/client.h"
#include "kube/observer.h"

namespace elephas::kube {

class LeaderElector {
 public:
  struct Options {
    std::string ns, name;  // of the Lease
    // Of this replica, and different in each: the pod's name and something random.
    std::string identity;
    std::chrono::milliseconds lease_duration{15'000};
    std::chrono::milliseconds renew_deadline{10'000};
    std::chrono::milliseconds retry_period{2'000};
  };

  // `client`, `clock` and `observer` outlive it.
  LeaderElector(Client& client, const Clock& clock, Options options,
                ClientObserver& observer = NoObserver());

  // One try to get or keep the Lease. Ok: we hold it. kConflict: somebody else does (the message
  // says who). Other codes: the API server did not answer as hoped; whether we lead is leading()'s
  // to say. One thread.
  Status Step();

  // True from a successful Step until renew_deadline later. Thread-safe.
  [[nodiscard]] bool leading() const;
  // Who holds the Lease as far as is known; empty: nobody. Thread-safe.
  [[nodiscard]] std::string holder() const;

  // Gives the Lease up, so that another replica need not wait for it to run out. Does nothing when
  // it is not ours. Not while Step or Run is under way.
  Status Release();

  // Blocks: tries until it leads, calls `started` (on this thread, so it returns soon), keeps
  // renewing, and ends when leadership is lost (false) or `stop` (true); in the latter case the
  // Lease is released, after `stopping` has been called.
  bool Run(const std::stop_token& stop, const std::function<void()>& started,
           const std::function<void()>& stopping);

 private:
  nlohmann::json Desired(const nlohmann::json& lease, bool acquire) const;
  void Remember(const nlohmann::json& lease);
  void SetLeading(bool leading);

  Client& client_;
  const Clock& clock_;
  const Options options_;
  ClientObserver& observer_;
  // These belong to the thread that steps.
  nlohmann::json observed_ = nullptr;  // the Lease's spec, as last seen
  Clock::TimePoint observed_at_{};     // when it was seen to change
  nlohmann::json lease_ = nullptr;     // as last written by us
  bool told_ = false;

  mutable Mutex mutex_;
  std::string holder_ ELEPHAS_GUARDED_BY(mutex_);
  Clock::TimePoint renewed_at_ ELEPHAS_GUARDED_BY(mutex_){};
  bool held_ ELEPHAS_GUARDED_BY(mutex_) = false;
};

}  // namespace elephas::kube
