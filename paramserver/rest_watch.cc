// For those who watch: probes, metrics, status and history.
#include <array>

#include "paramserver/rest_metrics.h"
#include "paramserver/rest_route.h"

namespace elephas::rest {
namespace {

Result<HttpReply> Health(Context&, Call&) { return JsonReply({{"status", "ok"}}); }

Result<HttpReply> Ready(Context& context, Call&) {
  if (!context.service.Ready()) return Unavailable("the parameter servers do not agree yet");
  return JsonReply({{"status", "ready"}});
}

Result<HttpReply> Metrics(Context& context, Call&) {
  HttpReply reply;
  reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
  reply.body = context.metrics.Text(context.service.Ready(), context.service.StatusJson());
  return reply;
}

Result<HttpReply> GetStatus(Context& context, Call&) {
  return JsonReply(context.service.StatusJson());
}

Result<HttpReply> GetHistory(Context& context, Call&) {
  return JsonReply(context.service.HistoryJson());
}

}  // namespace

std::span<const Route> WatchRoutes() {
  static const std::array kRoutes{
      Route{"GET", "/healthz", Health},        Route{"GET", "/readyz", Ready},
      Route{"GET", "/metrics", Metrics},       Route{"GET", "/v1/status", GetStatus},
      Route{"GET", "/v1/history", GetHistory},
  };
  return kRoutes;
}

}  // namespace elephas::rest
