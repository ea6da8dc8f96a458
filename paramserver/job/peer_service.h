// Several servers agree on an incarnation and on what to go on from.
//
// Errors that every call may give: kUnavailable while servers are still agreeing on an incarnation.
// Calls that name an incarnation give kConflict when it is not the current one (the REST reply then
// carries "incarnation"). Thread-safe, as the JobService behind it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/named_type.h"
#include "common/base/result.h"

namespace elephas {

class PeerService {
 public:
  virtual ~PeerService() = default;

  // Server 0 learns of server `index`; `boot` changes with every process start, `incarnation` is
  // the one that server has taken up, `cuts` are its whole checkpoints. The reply tells what to
  // restore.
  struct PeerReport {
    std::string boot, url;
    Incarnation incarnation = {};
    std::vector<std::int64_t> cuts = {};
    Incarnation newest = {};  // that has left a trace on its storage: the next one must be above
    std::string run = {};     // whose checkpoints `cuts` are, as in PeerReply::uid; empty: not said
  };
  struct PeerReply {
    Incarnation incarnation;  // 0: not decided yet, ask again
    std::int64_t cut = 0;     // 0: start empty
    std::uint64_t seed = 0;
    std::string uid;  // of the checkpoints that count: the job's own, or of the run it continues
  };
  virtual Result<PeerReply> RegisterPeer(std::int64_t index, const PeerReport& report) = 0;
  // On servers 1..n-1: what to tell server 0 (but for boot and url), and what to do with its
  // answer.
  [[nodiscard]] virtual PeerReport OwnReport() const = 0;
  [[nodiscard]] virtual std::vector<std::int64_t> Cuts() const = 0;
  virtual Status Restore(const PeerReply& peer) = 0;
  // Server 0: its own base URL, told once the port is known.
  virtual void SetOwnUrl(const std::string& url) = 0;
};

}  // namespace elephas
