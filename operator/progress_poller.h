// Asks the parameter servers of all running jobs how far they are, by a few threads and never more
// than so many a second.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "operator/progress_source.h"

namespace elephas {

class ProgressPoller final : public ProgressSource {
 public:
  struct Options {
    int threads = 2;
    std::chrono::milliseconds interval{2'000};  // of each job
    double per_second = 10;                     // of all jobs together; intervals grow
  };
  // Sends a request to a server; the value is the body of a 2xx. Called from several threads.
  using Send = std::function<Result<std::string>(const ServerAddress& address, const char* method,
                                                 const std::string& target)>;
  // Called, from any of the threads, when a job's progress has changed.
  using Wake = std::function<void(const kube::ObjectName& job)>;

  ProgressPoller(Options options, Send send, Wake wake);
  ProgressPoller(const ProgressPoller&) = delete;
  ProgressPoller& operator=(const ProgressPoller&) = delete;
  ~ProgressPoller() override;

  void Follow(const std::string& uid, const kube::ObjectName& job,
              const ServerAddress& address) override;
  void Pause(const std::string& uid) override;
  void Forget(const std::string& uid) override;
  [[nodiscard]] std::optional<Progress> Latest(const std::string& uid) const override;
  void GiveBack(const ServerAddress& address, const std::string& worker) override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Entry {
    kube::ObjectName job;
    ServerAddress address;  // url empty: not to be asked
    Time due;
    bool in_flight = false;
    std::optional<Progress> latest;
  };
  struct Errand {
    ServerAddress address;
    std::string worker;
  };
  using Entries = std::map<std::string, Entry>;

  void Run();
  // With mutex_ held.
  [[nodiscard]] std::chrono::milliseconds Interval() const;
  Entries::iterator NextDue();
  void Ask(Entries::iterator entry, std::unique_lock<std::mutex>& lock);

  const Options options_;
  const Send send_;
  const Wake wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  bool stop_ = false;
  Entries entries_;
  std::deque<Errand> errands_;
  std::vector<std::thread> threads_;  // last: they use the others
};

// Sends over HTTP, for at most a second, and takes at most 4 MiB.
Result<std::string> SendToServer(const ServerAddress& address, const char* method,
                                 const std::string& target);

}  // namespace elephas
