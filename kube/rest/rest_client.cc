#include "kube/rest/rest_client.h"

#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "kube/api_answer.h"
#include "kube/config/credentials.h"
#include "kube/rest/http_transport.h"

namespace elephas::kube {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::size_t kMaxWatchLine = std::size_t{16} << 20;  // an object in etcd has 1.5 MiB
// Of a refusal, which is a metav1.Status.
constexpr JsonBounds kRefusalBounds{.bytes = std::size_t{1} << 20};

std::string_view PropagationWord(Propagation propagation) {
  switch (propagation) {
    case Propagation::kBackground:
      return "Background";
    case Propagation::kForeground:
      return "Foreground";
    case Propagation::kOrphan:
      return "Orphan";
  }
  return "Background";
}

class RestClient final : public Client {
 public:
  RestClient(const RestConfig& config, const std::optional<ClientBounds>& bounds,
             std::unique_ptr<HttpTransport> transport, ClientObserver& observer)
      : config_(config),
        bounds_(bounds),
        credentials_(config, clock_),
        transport_(std::move(transport)),
        observer_(observer) {}

  Result<json> Get(const Kind& kind, const ObjectName& name, const CallOptions& options) override {
    return Object("get", kind, {.method = "GET", .target = ResourcePath(kind, name, "", {})},
                  options.timeout);
  }

  Result<ListPage> List(const Kind& kind, const ListOptions& options) override {
    const Query query{
        {"labelSelector", options.label_selector},
        {"fieldSelector", options.field_selector},
        {"limit", options.limit > 0 ? std::to_string(options.limit) : ""},
        {"continue", options.continue_token},
        // A page after the first one has its version in the token.
        {"resourceVersion", options.continue_token.empty() ? options.resource_version : ""}};
    ELEPHAS_ASSIGN_OR_RETURN(
        const HttpAnswer answer,
        Ask("list", kind, {.method = "GET", .target = ResourcePath(kind, {options.ns}, "", query)},
            options.timeout));
    auto page = ParseList(answer.body, ObjectBounds(), options.each);
    if (!page.ok()) return page.status().Annotate("the list of " + kind.Resource());
    return page;
  }

  Status Watch(const Kind& kind, const WatchOptions& options, const WatchHandler& handler,
               const std::stop_token& stop) override {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(options.duration);
    const Query query{{"watch", "1"},
                      {"allowWatchBookmarks", "true"},
                      {"labelSelector", options.label_selector},
                      {"fieldSelector", options.field_selector},
                      {"resourceVersion", options.resource_version},
                      {"timeoutSeconds", std::to_string(seconds.count())}};
    const std::size_t max_line = bounds_ ? bounds_->watch_line_bytes : kMaxWatchLine;
    LineSplitter lines(max_line, [&](std::string_view line) -> Status {
      auto event = ParseWatchLine(line, ObjectBounds());
      if (!event.ok()) return event.status();
      handler(std::move(*event));
      return OkStatus();
    });
    Status refused;
    // The server ends the watch by itself; ours is there in case it does not.
    const StreamLimits limits{.silence = options.silence,
                              .duration = options.duration + milliseconds(5'000)};
    Status end = Stream(
        "watch", kind, {.method = "GET", .target = ResourcePath(kind, {options.ns}, "", query)},
        limits,
        [&](std::string_view piece) {
          refused = lines.Add(piece);
          return refused.ok() && !stop.stop_requested();
        },
        stop);
    if (!refused.ok()) return refused;
    if (end.ok() && !lines.rest().empty() && !stop.stop_requested()) {
      return Unavailable("the watch of " + kind.Resource() + " ended in the middle of an event");
    }
    return end;
  }

  Result<json> Create(const Kind& kind, const json& object, const CallOptions& options) override {
    // Otherwise a field that the server does not know, of a pod template say, is dropped in
    // silence.
    const Query query{{"fieldValidation", "Strict"}};
    return Object("create", kind,
                  {.method = "POST",
                   .target = ResourcePath(kind, {NameOf(object).ns}, "", query),
                   .content_type = "application/json",
                   .body = JsonText(WithType(kind, object))},
                  options.timeout);
  }

  Result<json> Update(const Kind& kind, const json& object, const CallOptions& options) override {
    return Object("update", kind,
                  {.method = "PUT",
                   .target = ResourcePath(kind, NameOf(object), "", {}),
                   .content_type = "application/json",
                   .body = JsonText(WithType(kind, object))},
                  options.timeout);
  }

  Result<json> Apply(const Kind& kind, const json& object, const ApplyOptions& options) override {
    return ApplyTo("apply", kind, object, "", options);
  }

  Result<json> ApplyStatus(const Kind& kind, const json& object,
                           const ApplyOptions& options) override {
    const json part{{"metadata", MemberOf(object, "metadata")},
                    {"status", MemberOf(object, "status")}};
    return ApplyTo("apply-status", kind, part, "status", options);
  }

  Status Delete(const Kind& kind, const ObjectName& name, const DeleteOptions& options) override {
    json body{{"apiVersion", "v1"},
              {"kind", "DeleteOptions"},
              {"propagationPolicy", PropagationWord(options.propagation)}};
    if (!options.uid.empty()) body["preconditions"] = {{"uid", options.uid}};
    if (options.grace_seconds) body["gracePeriodSeconds"] = *options.grace_seconds;
    return Object("delete", kind,
                  {.method = "DELETE",
                   .target = ResourcePath(kind, name, "", {}),
                   .content_type = "application/json",
                   .body = JsonText(body)},
                  options.timeout)
        .status();
  }

  Status ReadPodLog(const ObjectName& pod, const PodLogOptions& options, const LogSink& sink,
                    const std::stop_token& stop) override {
    const Query query{{"container", options.container},
                      {"follow", options.follow ? "true" : ""},
                      {"previous", options.previous ? "true" : ""},
                      {"timestamps", options.timestamps ? "true" : ""},
                      {"tailLines", options.tail_lines ? std::to_string(*options.tail_lines) : ""}};
    // A followed log may be silent for hours.
    const StreamLimits limits{.first_byte = options.timeout,
                              .silence = options.follow ? std::chrono::hours(24) : options.timeout};
    return Stream("log", kPod, {.method = "GET", .target = ResourcePath(kPod, pod, "log", query)},
                  limits, sink, stop);
  }

 private:
  static json WithType(const Kind& kind, const json& object) {
    json typed = object;
    typed["apiVersion"] = kind.ApiVersion();
    typed["kind"] = kind.kind;
    return typed;
  }

  Result<json> ApplyTo(std::string_view verb, const Kind& kind, const json& object,
                       std::string_view subresource, const ApplyOptions& options) {
    const Query query{{"fieldManager", options.field_manager},
                      {"force", options.force ? "true" : ""},
                      {"dryRun", options.dry_run ? "All" : ""}};
    return Object(verb, kind,
                  {.method = "PATCH",
                   .target = ResourcePath(kind, NameOf(object), subresource, query),
                   // JSON is YAML, and older servers know only this name.
                   .content_type = "application/apply-patch+yaml",
                   .body = JsonText(WithType(kind, object))},
                  options.timeout);
  }

  // Tells the observer of a call when it goes out of scope.
  class Told {
   public:
    Told(ClientObserver& observer, std::string_view verb, const Kind& kind)
        : observer_(observer), verb_(verb), kind_(kind), start_(std::chrono::steady_clock::now()) {}
    Told(const Told&) = delete;
    Told& operator=(const Told&) = delete;
    ~Told() {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
      observer_.CallEnded(verb_, kind_.kind, code, took.count());
    }
    int code = 0;

   private:
    ClientObserver& observer_;
    std::string_view verb_;
    const Kind& kind_;
    std::chrono::steady_clock::time_point start_;
  };

  // Sends with our credentials, once more with newer ones if there are any after a 401.
  Result<HttpAnswer> Authorized(HttpCall call,
                                const std::function<Result<HttpAnswer>(const HttpCall&)>& send) {
    if (!config_.impersonate_user.empty()) {
      call.headers.emplace_back("Impersonate-User", config_.impersonate_user);
      if (!config_.impersonate_uid.empty()) {
        call.headers.emplace_back("Impersonate-Uid", config_.impersonate_uid);
      }
      for (const std::string& group : config_.impersonate_groups) {
        call.headers.emplace_back("Impersonate-Group", group);
      }
    }
    for (bool again = true;; again = false) {
      ELEPHAS_ASSIGN_OR_RETURN(const std::string authorization, credentials_.Authorization());
      HttpCall authorized = call;
      if (!authorization.empty()) authorized.headers.emplace_back("Authorization", authorization);
      auto answer = send(authorized);
      if (!answer.ok() || answer->status != 401 || !again ||
          !credentials_.Rejected(authorization)) {
        return answer;
      }
    }
  }

  [[nodiscard]] std::optional<JsonBounds> ObjectBounds() const {
    return bounds_ ? std::optional(bounds_->object) : std::nullopt;
  }

  Status Refused(const HttpAnswer& answer) {
    const auto object = ParseBounded(answer.body, kRefusalBounds);
    if (object.ok() && TextOf(*object, "kind") == "Status") observer_.Refused(*object);
    return StatusOfAnswer(answer.status, answer.body, answer.retry_after);
  }

  // The answer of a call that was not refused.
  Result<HttpAnswer> Ask(std::string_view verb, const Kind& kind, HttpCall call,
                         milliseconds timeout) {
    Told told(observer_, verb, kind);
    ELEPHAS_ASSIGN_OR_RETURN(HttpAnswer answer,
                             Authorized(std::move(call), [&](const HttpCall& authorized) {
                               return transport_->Call(authorized, timeout);
                             }));
    told.code = answer.status;
    if (answer.status < 200 || answer.status > 299) return Refused(answer);
    return answer;
  }

  // The object in it.
  Result<json> Object(std::string_view verb, const Kind& kind, HttpCall call,
                      milliseconds timeout) {
    ELEPHAS_ASSIGN_OR_RETURN(const HttpAnswer answer, Ask(verb, kind, std::move(call), timeout));
    json object;
    if (bounds_) {
      auto parsed = ParseObject(answer.body, bounds_->object);
      if (parsed.ok()) object = *std::move(parsed);
    } else {
      object = json::parse(answer.body, nullptr, false);
    }
    if (!object.is_object()) {
      return Unavailable("the server's answer is not JSON, or was cut short");
    }
    return object;
  }

  Status Stream(std::string_view verb, const Kind& kind, HttpCall call, const StreamLimits& limits,
                const HttpTransport::Sink& sink, const std::stop_token& stop) {
    Told told(observer_, verb, kind);
    ELEPHAS_ASSIGN_OR_RETURN(const HttpAnswer answer,
                             Authorized(std::move(call), [&](const HttpCall& authorized) {
                               return transport_->Stream(authorized, limits, sink, stop);
                             }));
    told.code = answer.status;
    // Zero: stopped before there was an answer.
    if (answer.status != 200 && answer.status != 0) return Refused(answer);
    return OkStatus();
  }

  const RestConfig config_;
  const std::optional<ClientBounds> bounds_;
  const SystemClock clock_;
  Credentials credentials_;
  const std::unique_ptr<HttpTransport> transport_;
  ClientObserver& observer_;
};

}  // namespace

Result<std::unique_ptr<Client>> MakeRestClient(const RestConfig& config, ClientObserver& observer) {
  ELEPHAS_ASSIGN_OR_RETURN(auto transport, HttpTransport::Make(config));
  return std::unique_ptr<Client>(
      std::make_unique<RestClient>(config, std::nullopt, std::move(transport), observer));
}

Result<std::unique_ptr<Client>> MakeRestClient(const RestConfig& config, const ClientBounds& bounds,
                                               ClientObserver& observer) {
  ELEPHAS_ASSIGN_OR_RETURN(auto transport,
                           HttpTransport::Make(config, {.max_answer_bytes = bounds.answer_bytes}));
  return std::unique_ptr<Client>(
      std::make_unique<RestClient>(config, bounds, std::move(transport), observer));
}

}  // namespace elephas::kube
