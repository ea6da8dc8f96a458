// Everything that the operator counts, under one prefix: elephas_operator_.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "kube/observer.h"

namespace elephas {

// Thread-safe.
class OperatorMetrics final : public kube::ClientObserver {
 public:
  OperatorMetrics();
  ~OperatorMetrics() override;
  OperatorMetrics(const OperatorMetrics&) = delete;
  OperatorMetrics& operator=(const OperatorMetrics&) = delete;

  // `result`: "success", "retry" (an error that may pass) or "error".
  void Reconciled(const char* result, std::chrono::duration<double> took);
  // Jobs by the word under status.state; a state that is not named has none.
  void SetJobs(const std::map<std::string, std::int64_t>& by_state);
  // Of pods that were asked for to replace one that died: from the watch's news to the request.
  void Replaced(std::chrono::duration<double> took);

  // kube::ClientObserver
  void CallEnded(std::string_view verb, std::string_view kind, int code, double seconds) override;
  void WatchRestarted(std::string_view kind, bool relist) override;
  void QueueDepth(std::string_view queue, std::size_t depth) override;
  void QueueLatency(std::string_view queue, double seconds) override;
  void QueueRetry(std::string_view queue) override;
  void Leading(bool leading) override;
  void Panicked(std::string_view where) override;

  // Prometheus' text format.
  [[nodiscard]] std::string Text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace elephas
