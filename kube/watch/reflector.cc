#include "kube/watch/reflector.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/json/json_at.h"
#include "kube/guard.h"

namespace elephas::kube {

namespace {

using std::chrono::milliseconds;

}  // namespace

Reflector::Reflector(Client& client, const Kind& kind, Options options, ReflectorSink& sink,
                     ClientObserver& observer)
    : client_(client),
      kind_(kind),
      options_(std::move(options)),
      sink_(sink),
      observer_(observer),
      random_(options_.seed != 0 ? options_.seed : std::random_device()()) {}

void Reflector::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const Status done = Guarded(observer_, "watch", kind_.kind, [this, &stop] { RunOnce(stop); });
    // Where it went wrong nobody knows, so everything is read anew.
    if (done.ok()) continue;
    version_.clear();
    Pause(done, stop);
  }
}

void Reflector::RunOnce(const std::stop_token& stop) {
  if (version_.empty()) {
    if (const Status listed = ListAll(); !listed.ok()) return Pause(listed, stop);
  }
  heard_ = false;
  const Status ended = WatchOnce(stop);
  if (stop.stop_requested()) return;
  if (heard_) failures_ = 0;
  if (ended.code() == Code::kGone) {
    LogInfo("watch is too old, listing again", {{"kind", kind_.kind}});
    version_.clear();
    observer_.WatchRestarted(kind_.kind, true);
    // A server that is always too new must not be asked without a pause.
    if (!heard_ && ++failures_ > 1) Pause(ended, stop);
    return;
  }
  observer_.WatchRestarted(kind_.kind, false);
  if (ended.ok() && heard_) return;
  // A watch that ended well may have been silent for its whole time, or cut off by a server that
  // is going away; a short pause serves both.
  if (!ended.ok()) return Pause(ended, stop);
  const auto pause = Jittered(options_.first_pause);
  options_.sleep ? options_.sleep(pause, stop) : (void)SleepUnlessStopped(pause, stop);
}

Status Reflector::ListAll() {
  ListOptions options{.ns = options_.ns,
                      .label_selector = options_.label_selector,
                      .field_selector = options_.field_selector,
                      .limit = options_.page_size,
                      .each = [this](nlohmann::json object) { sink_.Seen(std::move(object)); }};
  sink_.ListBegins();
  for (;;) {
    auto page = client_.List(kind_, options);
    // Objects that are large are read a few at a time. (Without a limit as many as there are.)
    if (page.status().code() == Code::kInvalid && options.limit != 1) {
      options.limit =
          options.limit == 0 ? options_.page_size : std::max<std::int64_t>(options.limit / 4, 1);
      continue;
    }
    if (page.status().code() == Code::kGone && !options.continue_token.empty()) {
      // The list took longer than the server keeps its pages: all of it at once, as client-go does.
      options.continue_token.clear();
      options.limit = 0;
      sink_.ListBegins();
      continue;
    }
    if (!page.ok()) return page.status().Annotate("list of " + kind_.Resource());
    if (page->unreadable > 0) {
      LogWarning("objects are left out of a list: they are no JSON",
                 {{"kind", kind_.kind}, {"count", page->unreadable}});
    }
    if (page->continue_token.empty()) {
      sink_.ListEnds();
      version_ = page->resource_version;
      return OkStatus();
    }
    options.continue_token = page->continue_token;
  }
}

Status Reflector::WatchOnce(const std::stop_token& stop) {
  const double stretch = std::uniform_real_distribution<double>(1, 2)(random_);
  const WatchOptions options{.ns = options_.ns,
                             .label_selector = options_.label_selector,
                             .field_selector = options_.field_selector,
                             .resource_version = version_,
                             .duration = milliseconds(static_cast<std::int64_t>(
                                 static_cast<double>(options_.watch_duration.count()) * stretch))};
  const Status ended = client_.Watch(
      kind_, options,
      [this](WatchEvent event) {
        heard_ = true;
        std::string version = TextAt(event.object, "/metadata/resourceVersion");
        if (event.type == WatchEventType::kDeleted) {
          sink_.Deleted(NameOf(event.object));
        } else if (event.type != WatchEventType::kBookmark) {
          sink_.Seen(std::move(event.object));
        }
        if (!version.empty()) version_ = std::move(version);
      },
      stop);
  return ended.Annotate("watch of " + kind_.Resource());
}

void Reflector::Pause(const Status& why, const std::stop_token& stop) {
  if (stop.stop_requested()) return;
  const auto doubled = options_.first_pause * (std::int64_t{1} << std::min(failures_, 20));
  const auto pause =
      std::max(Jittered(std::min(doubled, options_.longest_pause)), why.retry_after());
  // One lost connection is nothing to tell.
  const LogLevel level = failures_ == 0 && why.retryable() ? LogLevel::kInfo : LogLevel::kWarning;
  Log(level, "watching failed, trying again",
      {{"kind", kind_.kind}, {"error", why.message()}, {"pause_ms", pause.count()}});
  ++failures_;
  options_.sleep ? options_.sleep(pause, stop) : (void)SleepUnlessStopped(pause, stop);
}

milliseconds Reflector::Jittered(milliseconds pause) {
  const double share = std::uniform_real_distribution<double>(0.5, 1)(random_);
  return milliseconds(static_cast<std::int64_t>(static_cast<double>(pause.count()) * share));
}

}  // namespace elephas::kube
