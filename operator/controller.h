// Everything that runs while this operator leads: watches, the queue, the threads that reconcile,
// the questions to parameter servers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "kube/client.h"
#include "kube/watch/informer.h"
#include "kube/watch/work_queue.h"
#include "operator/metrics.h"
#include "operator/progress_poller.h"
#include "operator/reconciler.h"
#include "operator/state/cluster_view.h"
#include "operator/state/settings.h"

namespace elephas {

// Started and stopped by one thread; the rest is thread-safe.
class Controller final : private ClusterView {
 public:
  struct Options {
    Settings settings = {};
    std::vector<std::string> namespaces = {};  // empty: all
    int concurrency = 4;
    ProgressPoller::Options progress = {};
  };
  // All of them outlive it.
  struct Parts {
    kube::Client& client;
    OperatorMetrics& metrics;
    Reconciler::RecordEvent record;
    const Clock& clock;
  };
  Controller(Parts parts, Options options);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  ~Controller() override;

  // Starts the watches, and the work once the first lists are there. Does not wait for them.
  void Start();
  // Ends all of it; a reconcile under way is finished.
  void Stop();
  // Are the lists there, so that decisions can be made?
  [[nodiscard]] bool Synced() const;
  // For /metrics.
  [[nodiscard]] std::map<std::string, std::int64_t> JobsByState() const;

 private:
  // A job is held as text, which takes a fraction of the memory of what is parsed from it; a
  // reconcile parses it once. Of a large one the text is left out, and a reconcile reads it from
  // the API server.
  struct CachedJob {
    std::string text, state, version;
    friend bool operator==(const CachedJob&, const CachedJob&) = default;
  };
  struct Watches {
    std::string ns;  // empty: all
    std::unique_ptr<kube::Informer<CachedJob>> jobs;
    std::unique_ptr<kube::Informer<Pod>> pods;
  };

  static Result<CachedJob> DecodeJob(const nlohmann::json& object);
  [[nodiscard]] Result<nlohmann::json> FindJob(const kube::ObjectName& name) const override;
  [[nodiscard]] bool IsLarge(const kube::ObjectName& name) const;
  [[nodiscard]] std::vector<Pod> PodsOf(const std::string& ns,
                                        const std::string& job_uid) const override;
  [[nodiscard]] const Watches* WatchesOf(const std::string& ns) const;
  Watches MakeWatches(const std::string& ns);
  void PodChanged(const kube::ObjectName& name, const Pod* old, const Pod* now);
  void CountReplacement(const kube::ObjectName& job);
  void Work();
  void HandleOne(const kube::ObjectName& job) ELEPHAS_EXCLUDES(large_mutex_);
  void ReconcileGuarded(const kube::ObjectName& job);
  void Reconcile(const kube::ObjectName& job);
  // Counts a reconcile of the job that ended with kInternal (`one_more`), or forgets the earlier
  // ones. Answers how many there have been in a row.
  int CountInternalErrors(const kube::ObjectName& job, bool one_more);

  using Time = std::chrono::steady_clock::time_point;
  const Parts parts_;
  const Options options_;
  kube::WorkQueue queue_;
  ProgressPoller progress_;
  Reconciler reconciler_;
  std::vector<Watches> watches_;
  Mutex deaths_mutex_;
  // Of pods not yet replaced, by job.
  std::map<kube::ObjectName, Time> deaths_ ELEPHAS_GUARDED_BY(deaths_mutex_);
  Mutex large_mutex_;  // held by whoever has a large job in memory
  Mutex errors_mutex_;
  // In a row, by job.
  std::map<kube::ObjectName, int> internal_errors_ ELEPHAS_GUARDED_BY(errors_mutex_);
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace elephas
