#include "operator/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>

namespace elephas {

namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Histogram;

// From a reconcile that finds nothing to do to an API server that barely answers.
const Histogram::BucketBoundaries kSeconds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                           0.1,   0.25,   0.5,   1,    2.5,   10};

// All states there are, so that a state without jobs is a 0 and not a gap.
constexpr std::array kStates{"Pending", "Starting", "Running", "Suspended", "Succeeded", "Failed"};

// The units of work, of kube::ClientObserver::Panicked.
constexpr std::array kWheres{"reconcile", "poll",  "give-back", "decode", "changed",
                             "watch",     "event", "lease",     "http"};

}  // namespace

struct OperatorMetrics::Impl {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& reconciles =
      BuildCounter()
          .Name("elephas_operator_reconciles_total")
          .Help("Times that a job was looked at, by result: success, retry or error.")
          .Register(registry);
  prometheus::Family<Histogram>& reconcile_seconds =
      BuildHistogram()
          .Name("elephas_operator_reconcile_duration_seconds")
          .Help("Seconds that looking at one job took, its requests included.")
          .Register(registry);
  prometheus::Family<Histogram>& replacement_seconds =
      BuildHistogram()
          .Name("elephas_operator_replacement_delay_seconds")
          .Help("Seconds from the news that a pod died to the request for its replacement.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& jobs =
      BuildGauge()
          .Name("elephas_operator_jobs")
          .Help("ElephasJobs that the operator knows, by state.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& queue_depth = BuildGauge()
                                                           .Name("elephas_operator_queue_depth")
                                                           .Help("Jobs that wait to be looked at.")
                                                           .Register(registry);
  prometheus::Family<Histogram>& queue_seconds =
      BuildHistogram()
          .Name("elephas_operator_queue_latency_seconds")
          .Help("Seconds that a job waited to be looked at.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& queue_retries =
      BuildCounter()
          .Name("elephas_operator_queue_retries_total")
          .Help("Jobs that were put back after a failure.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& requests =
      BuildCounter()
          .Name("elephas_operator_api_requests_total")
          .Help("Requests to the API server, by verb, kind and HTTP status; 0: no answer.")
          .Register(registry);
  prometheus::Family<Histogram>& request_seconds =
      BuildHistogram()
          .Name("elephas_operator_api_request_duration_seconds")
          .Help("Seconds until the API server had answered, by verb; watches are left out.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& watch_restarts =
      BuildCounter()
          .Name("elephas_operator_watch_restarts_total")
          .Help("Watches that were started again, by kind and whether everything was listed anew.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& panics =
      BuildCounter()
          .Name("elephas_operator_panics_total")
          .Help(
              "Exceptions that were caught at the edge of a unit of work, by where: a defect of "
              "the operator's, which cost one job or one object and not the process.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& leader = BuildGauge()
                                                      .Name("elephas_operator_leader")
                                                      .Help("1 while this operator leads, else 0.")
                                                      .Register(registry);
};

OperatorMetrics::OperatorMetrics() : impl_(std::make_unique<Impl>()) {
  for (const char* state : kStates) impl_->jobs.Add({{"state", state}});
  for (const char* result : {"success", "retry", "error"}) {
    impl_->reconciles.Add({{"result", result}});
  }
  // From the start, so that the first one is an increase.
  for (const char* where : kWheres) impl_->panics.Add({{"where", where}});
  impl_->leader.Add({});
  impl_->replacement_seconds.Add({}, kSeconds);
  impl_->reconcile_seconds.Add({}, kSeconds);
}
OperatorMetrics::~OperatorMetrics() = default;

void OperatorMetrics::Reconciled(const char* result, std::chrono::duration<double> took) {
  impl_->reconciles.Add({{"result", result}}).Increment();
  impl_->reconcile_seconds.Add({}, kSeconds).Observe(took.count());
}

void OperatorMetrics::SetJobs(const std::map<std::string, std::int64_t>& by_state) {
  for (const char* state : kStates) {
    const auto found = by_state.find(state);
    impl_->jobs.Add({{"state", state}})
        .Set(found == by_state.end() ? 0 : static_cast<double>(found->second));
  }
}

void OperatorMetrics::Replaced(std::chrono::duration<double> took) {
  impl_->replacement_seconds.Add({}, kSeconds).Observe(took.count());
}

void OperatorMetrics::CallEnded(std::string_view verb, std::string_view kind, int code,
                                double seconds) {
  impl_->requests
      .Add({{"verb", std::string(verb)},
            {"kind", std::string(kind)},
            {"code", std::to_string(code)}})
      .Increment();
  if (verb == "watch" || verb == "log") return;
  impl_->request_seconds.Add({{"verb", std::string(verb)}}, kSeconds).Observe(seconds);
}

void OperatorMetrics::WatchRestarted(std::string_view kind, bool relist) {
  impl_->watch_restarts.Add({{"kind", std::string(kind)}, {"relist", relist ? "true" : "false"}})
      .Increment();
}

void OperatorMetrics::QueueDepth(std::string_view queue, std::size_t depth) {
  impl_->queue_depth.Add({{"queue", std::string(queue)}}).Set(static_cast<double>(depth));
}

void OperatorMetrics::QueueLatency(std::string_view queue, double seconds) {
  impl_->queue_seconds.Add({{"queue", std::string(queue)}}, kSeconds).Observe(seconds);
}

void OperatorMetrics::QueueRetry(std::string_view queue) {
  impl_->queue_retries.Add({{"queue", std::string(queue)}}).Increment();
}

void OperatorMetrics::Panicked(std::string_view where) {
  impl_->panics.Add({{"where", std::string(where)}}).Increment();
}

void OperatorMetrics::Leading(bool leading) { impl_->leader.Add({}).Set(leading ? 1 : 0); }

std::string OperatorMetrics::Text() const {
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace elephas
