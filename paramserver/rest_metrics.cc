#include "paramserver/rest_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>

namespace elephas::rest {
namespace {

// Methods come from outside; a label must not.
std::string KnownMethod(std::string_view method) {
  constexpr std::array<std::string_view, 5> kKnown{"GET", "HEAD", "PUT", "POST", "DELETE"};
  for (const std::string_view known : kKnown) {
    if (method == known) return std::string(method);
  }
  return "other";
}

}  // namespace

struct RestMetrics::Impl {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter()
          .Name("elephas_http_requests_total")
          .Help("Requests answered, by method, route and status code.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& received =
      prometheus::BuildCounter()
          .Name("elephas_http_received_bytes_total")
          .Help("Body bytes that requests announced, by route.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& sent = prometheus::BuildCounter()
                                                      .Name("elephas_http_sent_bytes_total")
                                                      .Help("Body bytes of replies, by route.")
                                                      .Register(registry);
  prometheus::Gauge& in_flight = prometheus::BuildGauge()
                                     .Name("elephas_http_requests_in_flight")
                                     .Help("Requests that have no reply yet.")
                                     .Register(registry)
                                     .Add({});
  prometheus::Gauge& ready = prometheus::BuildGauge()
                                 .Name("elephas_ready")
                                 .Help("1 when the server takes requests of workers.")
                                 .Register(registry)
                                 .Add({});
  prometheus::Gauge& incarnation = prometheus::BuildGauge()
                                       .Name("elephas_incarnation")
                                       .Help("Grows with every restart of a parameter server.")
                                       .Register(registry)
                                       .Add({});
  prometheus::Gauge& version = prometheus::BuildGauge()
                                   .Name("elephas_version")
                                   .Help("Updates or rounds applied.")
                                   .Register(registry)
                                   .Add({});
};

RestMetrics::RestMetrics() : impl_(std::make_unique<Impl>()) {}
RestMetrics::~RestMetrics() = default;

void RestMetrics::Begin() { impl_->in_flight.Increment(); }

void RestMetrics::Count(std::string_view method, std::string_view route, int status,
                        std::uint64_t request_bytes, std::uint64_t reply_bytes) {
  impl_->in_flight.Decrement();
  const std::string label(route.empty() ? "unknown" : route);
  impl_->requests
      .Add({{"method", KnownMethod(method)}, {"route", label}, {"code", std::to_string(status)}})
      .Increment();
  if (route.empty()) return;  // what a stranger announces is not worth counting
  impl_->received.Add({{"route", label}}).Increment(static_cast<double>(request_bytes));
  impl_->sent.Add({{"route", label}}).Increment(static_cast<double>(reply_bytes));
}

std::string RestMetrics::Text(bool ready, const nlohmann::json& status) {
  const auto number = [&status](const char* name) {
    const auto field = status.find(name);
    return field != status.end() && field->is_number() ? field->get<double>() : 0.0;
  };
  impl_->ready.Set(ready ? 1 : 0);
  impl_->incarnation.Set(number("incarnation"));
  impl_->version.Set(number("version"));
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace elephas::rest
