// Asks the parameter servers of all running jobs how far they are, by a few threads and never more
// than so many a second.
//
// A server may be anybody's program, and slow on purpose. So a question has one deadline for all of
// it; one namespace has a share of the threads; and who kept us waiting is asked again later and
// later, by some of the threads only. The others are for those who answer at once, so a tenant's
// slow servers cost the tenant, not the rest.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/result.h"
#include "kube/observer.h"
#include "operator/state/progress_source.h"

namespace elephas {

// Thread-safe, as ProgressSource asks. Its threads run from construction to destruction.
class ProgressPoller final : public ProgressSource {
 public:
  struct Options {
    int threads = 4;
    int threads_per_namespace = 2;
    int threads_for_slow = 2;                            // of all namespaces; one of each
    std::chrono::milliseconds interval{2'000};           // of each job
    std::chrono::milliseconds longest_interval{60'000};  // of a job whose server is slow
    std::chrono::milliseconds slow{500};                 // an exchange that took longer was slow
    double per_second = 10;                              // of all jobs together; intervals grow
  };
  // Sends a request to a server; the value is the body of a 2xx. Called from several threads. What
  // it throws counts as no answer.
  using Send = std::function<Result<std::string>(const ServerAddress& address, const char* method,
                                                 const std::string& target)>;
  // Called, from any of the threads, when a job's progress has changed.
  using Wake = std::function<void(const kube::ObjectName& job)>;

  // `observer` outlives it.
  ProgressPoller(Options options, Send send, Wake wake,
                 kube::ClientObserver& observer = kube::NoObserver());
  ProgressPoller(const ProgressPoller&) = delete;
  ProgressPoller& operator=(const ProgressPoller&) = delete;
  // Waits for the questions under way, which end by their deadline.
  ~ProgressPoller() override;

  void Follow(const std::string& uid, const kube::ObjectName& job,
              const ServerAddress& address) override;
  void Pause(const std::string& uid) override;
  void Forget(const std::string& uid) override;
  [[nodiscard]] std::optional<Progress> Latest(const std::string& uid) const override;
  void GiveBack(const std::string& uid, const kube::ObjectName& job, const ServerAddress& address,
                const std::string& worker) override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Errand {
    ServerAddress address;
    std::string worker;
  };
  struct Entry {
    kube::ObjectName job;
    ServerAddress address;  // url empty: not to be asked
    Time due;
    bool in_flight = false;
    bool answered = false;  // at least once in time
    int slow_in_a_row = 0;
    std::optional<Progress> latest;
    std::deque<Errand> errands;  // before the next question
  };
  using Entries = std::map<std::string, Entry>;
  // What one thread works on; it is taken out of the counts when it goes out of scope.
  struct Task;
  struct Share {
    int in_flight = 0, slow_in_flight = 0;
  };

  void Run();
  // False: the poller is being destroyed.
  bool RunOne() ELEPHAS_EXCLUDES(mutex_);
  void Tell(const Task& task, const Errand& errand) ELEPHAS_EXCLUDES(mutex_);
  void Ask(const Task& task) ELEPHAS_EXCLUDES(mutex_);
  [[nodiscard]] std::chrono::milliseconds Interval(const Entry& entry) const
      ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] bool IsSlow(const Entry& entry) const ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] bool MayStart(const Entry& entry, Time now) const ELEPHAS_REQUIRES(mutex_);
  Entries::iterator Next(Time now) ELEPHAS_REQUIRES(mutex_);
  [[nodiscard]] std::optional<Time> NextDue(Time now) const ELEPHAS_REQUIRES(mutex_);
  void Took(const Task& task, std::chrono::steady_clock::duration time, bool answered)
      ELEPHAS_REQUIRES(mutex_);

  const Options options_;
  const Send send_;
  const Wake wake_;
  kube::ClientObserver& observer_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool stop_ ELEPHAS_GUARDED_BY(mutex_) = false;
  Entries entries_ ELEPHAS_GUARDED_BY(mutex_);  // by the job's uid
  // By namespace; of what is under way.
  std::map<std::string, Share> shares_ ELEPHAS_GUARDED_BY(mutex_);
  std::map<std::string, int> slow_jobs_ ELEPHAS_GUARDED_BY(mutex_);  // by namespace
  int slow_in_flight_ ELEPHAS_GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> threads_;  // last: they use the others
};

// Sends over HTTP, for at most a second in all, and takes at most kMaxStatusBytes.
Result<std::string> SendToServer(const ServerAddress& address, const char* method,
                                 const std::string& target);

}  // namespace elephas
