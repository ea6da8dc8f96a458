// What a reconcile hears from the parameter servers, and tells them.
#pragma once

#include <optional>
#include <string>

#include "kube/client.h"
#include "operator/state/progress.h"

namespace elephas {

// Where server 0 of a job answers.
struct ServerAddress {
  std::string url;    // "http://10.0.0.7:4000"
  std::string token;  // the job's
  friend bool operator==(const ServerAddress&, const ServerAddress&) = default;
};

// Thread-safe; no call waits for a server.
class ProgressSource {
 public:
  virtual ~ProgressSource() = default;
  // Ask this server from now on, and wake the job when it has something new to say.
  virtual void Follow(const std::string& uid, const kube::ObjectName& job,
                      const ServerAddress& address) = 0;
  // Ask no longer; what was told last is kept.
  virtual void Pause(const std::string& uid) = 0;
  // The job is no more.
  virtual void Forget(const std::string& uid) = 0;
  [[nodiscard]] virtual std::optional<Progress> Latest(const std::string& uid) const = 0;
  // A worker is gone: its leases go to others. Only a hint, leases expire anyway.
  virtual void GiveBack(const std::string& uid, const kube::ObjectName& job,
                        const ServerAddress& address, const std::string& worker) = 0;
};

}  // namespace elephas
