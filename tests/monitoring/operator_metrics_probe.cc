// Serves the metrics of an operator to which things happen, as the operator would: for the
// Prometheus of the tests, where there is no cluster. Prints its port, and ends by a signal.
#include <unistd.h>

#include <cstdio>

#include "common/http/server.h"
#include "common/telemetry/metrics_page.h"
#include "tests/monitoring/operator_metrics_sample.h"

int main() {
  elephas::OperatorMetrics metrics;
  elephas::HttpServer::Options options;
  options.address = "127.0.0.1";
  const auto server = elephas::HttpServer::Start(options, [&](elephas::HttpRequest&) {
    elephas::LetEverythingHappen(metrics);  // each scrape finds new counts, so rates are not zero
    elephas::HttpReply reply;
    reply.content_type = elephas::kMetricsContentType;
    reply.body = metrics.Text();
    return reply;
  });
  if (!server.ok()) return 1;
  std::printf("port %d\n", (*server)->port());
  std::fflush(stdout);
  for (;;) ::pause();
}
