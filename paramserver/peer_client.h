// Servers 1..n-1 report to server 0: who they are, which incarnation they have taken up, which cuts
// they hold. Server 0 answers with what to restore.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "common/base/mutex.h"
#include "common/base/result.h"
#include "paramserver/job/peer_service.h"

namespace elephas {

class HttpClient;

// A thread that registers about once per `interval`, and at once after something changed.
class PeerClient {
 public:
  struct Options {
    std::string coordinator_url;  // of server 0
    std::string token;
    std::int64_t index = 1;
    std::string own_url;  // where workers reach this server
    std::chrono::milliseconds interval{1000};
  };
  // Starts. `service` must outlive the client.
  PeerClient(PeerService& service, Options options);
  ~PeerClient();  // stops
  // Ends the thread; a registration that runs is waited for, a few seconds at most. May be
  // repeated.
  void Stop();

 private:
  void Run();
  // One registration and, when the answer asks for it, one restore. True: something changed, tell
  // server 0 at once.
  Result<bool> Register(HttpClient& client);
  // Logs an error when it is not the one logged last.
  void Report(const Status& status);
  // True when the thread is to end.
  bool Sleep(std::chrono::milliseconds time);

  PeerService& service_;
  const Options options_;
  const std::string boot_;  // changes with every process start
  std::string last_error_;  // used by the thread only
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace elephas
