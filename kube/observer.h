// What a client, an informer and a work queue tell about themselves. Whoever keeps metrics connects
// them here; nothing in this folder knows a metrics library.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/result.h"

namespace elephas::kube {

// Called from whatever thread the thing happened on, so thread-safe and quick. Every call has a
// body that does nothing; override what you count.
class ClientObserver {
 public:
  virtual ~ClientObserver() = default;

  // A call is over. `verb`: get, list, watch, create, update, apply, apply-status, delete, log.
  // `kind` as in manifests. `code`: the HTTP status, 0 when there was no answer. A watch and a
  // followed log are told of when they end.
  virtual void CallEnded(std::string_view verb, std::string_view kind, int code, double seconds) {
    (void)verb, (void)kind, (void)code, (void)seconds;
  }
  // The metav1.Status with which the server refused a call.
  virtual void Refused(const nlohmann::json& status) { (void)status; }

  // An informer's watch started again; `relist`: with a new list.
  virtual void WatchRestarted(std::string_view kind, bool relist) { (void)kind, (void)relist; }

  // A work queue: keys waiting to be handled; how long one waited; one was put back after a
  // failure.
  virtual void QueueDepth(std::string_view queue, std::size_t depth) { (void)queue, (void)depth; }
  virtual void QueueLatency(std::string_view queue, double seconds) { (void)queue, (void)seconds; }
  virtual void QueueRetry(std::string_view queue) { (void)queue; }

  // A unit of work ended in an exception: "reconcile", "poll", "give-back", "decode", "changed",
  // "watch", "event", "lease" or "http".
  virtual void Panicked(std::string_view where) { (void)where; }

  // This replica became, or is no longer, the leader.
  virtual void Leading(bool leading) { (void)leading; }
};

// The process's do-nothing observer.
ClientObserver& NoObserver();

}  // namespace elephas::kube
