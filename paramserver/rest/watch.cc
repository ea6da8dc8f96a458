// For those who watch: probes, metrics, the job, its status and history.
#include "paramserver/rest/rest_metrics.h"
#include "paramserver/rest/route.h"
#include "paramserver/rest/server_metrics.h"
#include "paramserver/rest/status_page.h"

namespace elephas::rest {
namespace {

Result<HttpReply> Health(Context&, Call&) { return JsonReply({{"status", "ok"}}); }

// Public: it holds nothing of the job; what it shows it asks for with the job's token.
Result<HttpReply> Page(Context&, Call&) {
  HttpReply reply;
  reply.content_type = "text/html; charset=utf-8";
  reply.headers = {{"Content-Security-Policy", std::string(kStatusPagePolicy)},
                   {"X-Content-Type-Options", "nosniff"},
                   {"Referrer-Policy", "no-referrer"},
                   {"Cache-Control", "no-cache"}};
  reply.body = kStatusPage;
  return reply;
}

Result<HttpReply> Ready(WatchService& watched, Context&, Call&) {
  if (!watched.Ready()) return Unavailable("the parameter servers do not agree yet");
  return JsonReply({{"status", "ready"}});
}

Result<HttpReply> Metrics(WatchService& watched, Context& context, Call&) {
  HttpReply reply;
  reply.content_type = kMetricsContentType;
  const ServerIdentity server{context.job.spec(), context.options.uid,
                              context.options.server_index};
  reply.body = ServerMetricsText(server, watched.Ready(), watched.Sample(), context.metrics.Read());
  return reply;
}

// Who has applied examples: a supervisor tells from it which of its processes work. Lost ones first,
// because those are what it asks about.
nlohmann::json Contributors(const nlohmann::json& workers) {
  constexpr std::size_t kMostNames = 100;
  nlohmann::json out = nlohmann::json::array();
  for (const bool lost : {true, false}) {
    for (const nlohmann::json& worker : workers) {
      if (out.size() == kMostNames) return out;
      const bool is_lost = worker.value("state", "") == "Lost";
      if (is_lost == lost && worker.value("examples", 0.0) > 0) out.push_back(worker);
    }
  }
  return out;
}

// What fits into a few KiB however long the job has run and however many workers it has.
void MakeBrief(nlohmann::json& status) {
  for (auto& [name, values] : status["history"].items()) {
    if (values.size() > 1) values = nlohmann::json::array({values.back()});
  }
  status["events"] = nlohmann::json::array();
  status["workers"] = Contributors(status["workers"]);
}

Result<HttpReply> GetStatus(WatchService& watched, Context&, Call& call) {
  const auto brief = call.request.query("brief");
  if (brief && *brief != "true" && *brief != "false") {
    return Invalid("'brief' must be true or false");
  }
  nlohmann::json status = watched.StatusJson();
  if (brief == "true") MakeBrief(status);
  return JsonReply(status);
}

Result<HttpReply> GetHistory(WatchService& watched, Context&, Call&) {
  return JsonReply(watched.HistoryJson());
}

Result<HttpReply> GetJob(WatchService& watched, Context& context, Call&) {
  const nlohmann::json status = watched.StatusJson();
  return JsonReply({{"uid", status.value("uid", context.options.uid)},
                    {"server", context.options.server_index},
                    {"servers", context.job.spec().parameter_servers.replicas},
                    {"incarnation", context.job.CurrentIncarnation().value()},
                    {"manifest", context.options.manifest}});
}

}  // namespace

std::vector<Route> WatchRoutes(WatchService& watched) {
  return {
      Route{"GET", "/", Page},
      Route{"GET", "/healthz", Health},
      Route{"GET", "/readyz", With(watched, Ready)},
      Route{"GET", "/metrics", With(watched, Metrics)},
      Route{"GET", "/v1/job", With(watched, GetJob)},
      Route{"GET", "/v1/status", With(watched, GetStatus), Body::kNone, {"brief"}},
      Route{"GET", "/v1/history", With(watched, GetHistory)},
  };
}

}  // namespace elephas::rest
