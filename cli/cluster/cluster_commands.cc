#include "cli/cluster/cluster_commands.h"

#include <algorithm>
#include <thread>

#include "cli/cluster/apply_conflicts.h"
#include "cli/cluster/job_view.h"
#include "cli/terminal/yaml_output.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/names.h"
#include "common/base/terminal_text.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "kube/api_answer.h"

namespace elephas::cli {

namespace {

using kube::ObjectName;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr const char* kFieldManager = "elephas-cli";
constexpr milliseconds kLookAgain{1'000};
constexpr milliseconds kLongestWait{30'000};
constexpr int kMaxTries = 5;
constexpr std::int64_t kPageSize = 500;  // kubectl's
constexpr std::size_t kMaxLogLine = std::size_t{1} << 20;

int Complain(const Cluster& cluster, const Status& error) {
  cluster.err << TerminalText(KubectlError(error, cluster.refusals.Find(error))) << "\n";
  return kExitFailure;
}

void Sleep(const Cluster& cluster, milliseconds time) {
  if (cluster.sleep) return cluster.sleep(time);
  (void)SleepUnlessStopped(time, cluster.stop);
}

// Asks again when the server says when to (429, or a 503 with Retry-After).
template <typename Call>
auto WithRetries(const Cluster& cluster, const Call& call) {
  for (int left = kMaxTries;; --left) {
    auto result = call();
    const Status status = [&] {
      if constexpr (std::is_same_v<decltype(result), Status>)
        return result;
      else
        return result.status();
    }();
    const bool again = status.retryable() && status.retry_after().count() > 0 && left > 1;
    if (!again || cluster.stop.stop_requested()) return result;
    Sleep(cluster, std::min(status.retry_after(), kLongestWait));
  }
}

// --- submit ----------------------------------------------------------------------------------

// Where the job goes; an error when command line and manifest name different namespaces.
Result<std::string> NamespaceOf(const Options& options, const json& document,
                                const Cluster& cluster) {
  const std::string written = TextAt(document, "/metadata/namespace");
  if (!options.cluster.ns.empty() && !written.empty() && written != options.cluster.ns) {
    return Invalid("the namespace from the provided object \"" + written +
                   "\" does not match the namespace \"" + options.cluster.ns +
                   "\". You must pass '--namespace=" + written + "' to perform this operation.");
  }
  return written.empty() ? cluster.ns : written;
}

// Server-side apply. Fields that somebody else has set to what the manifest says anyway, as kubectl
// apply of the same file does, are taken over: that changes no value.
Result<json> ApplyJob(const Options& options, const json& document, const Cluster& cluster) {
  const auto apply = [&](const json& object, bool force) {
    return WithRetries(cluster, [&] {
      return cluster.client.Apply(kube::kElephasJob, object,
                                  {.field_manager = kFieldManager, .force = force});
    });
  };
  auto job = apply(document, options.force_conflicts);
  const bool changes =  // something that others own, or that cannot be changed
      job.status().code() == Code::kConflict || job.status().code() == Code::kInvalid;
  if (!changes) return job;
  const auto conflicts = FieldConflicts(cluster.refusals.Find(job.status()));
  const auto live = WithRetries(
      cluster, [&] { return cluster.client.Get(kube::kElephasJob, kube::NameOf(document)); });
  if (!live.ok()) return job;
  json same = WithoutLostNulls(document, *live);
  if (conflicts.empty()) {
    return same == document ? job : apply(same, options.force_conflicts);
  }
  const auto real = RealConflicts(conflicts, same, *live);
  if (!real.empty()) return Conflict(ConflictText(real, same, *live));
  // Of this very version, so that what others set meanwhile is not overwritten.
  same["metadata"]["resourceVersion"] = TextAt(*live, "/metadata/resourceVersion");
  return apply(same, true);
}

// Watches one job and reports it until it is over.
class Follower {
 public:
  Follower(ObjectName name, std::string uid, Reporter& reporter, const Cluster& cluster)
      : name_(std::move(name)), uid_(std::move(uid)), reporter_(reporter), cluster_(cluster) {}

  int Run() {
    while (!exit_code_ && !cluster_.stop.stop_requested()) {
      const auto job = cluster_.client.Get(kube::kElephasJob, name_);
      if (job.status().code() == Code::kNotFound) {
        Gone();
      } else if (!job.ok() && !job.status().retryable()) {
        return Complain(cluster_, job.status());
      } else if (!job.ok()) {
        Lost(job.status());
      } else {
        Look(*job);
        if (!exit_code_) WatchFrom(TextAt(*job, "/metadata/resourceVersion"));
      }
    }
    if (exit_code_) return *exit_code_;
    cluster_.err << "elephas: " << name_.name << " goes on without being followed; elephas get "
                 << name_.name << " shows it, elephas delete " << name_.name << " ends it\n";
    return kExitBySignal + 2;  // SIGINT
  }

 private:
  void Look(const json& job) {
    if (TextAt(job, "/metadata/uid") != uid_) return Gone();
    told_lost_ = false;
    JobFollower::News news = follower_.Take(job, cluster_.clock.UnixMillis());
    for (const auto& [reason, message] : news.notes) reporter_.Note(reason, message);
    if (!news.end) return reporter_.Progress(news.status);
    reporter_.Ended(*news.end);
    exit_code_ = news.end->outcome.exit_code;
    if (*exit_code_ != kExitSuccess) {
      cluster_.err << "logs: elephas logs " << name_.name << " -n " << name_.ns << "\n";
    }
  }

  void WatchFrom(const std::string& version) {
    std::stop_source over;
    const std::stop_callback stopped(cluster_.stop, [&] { over.request_stop(); });
    const Status end = cluster_.client.Watch(
        kube::kElephasJob,
        {.ns = name_.ns,
         .field_selector = "metadata.name=" + name_.name,
         .resource_version = version},
        [&](const kube::WatchEvent& event) {
          if (exit_code_ || event.type == kube::WatchEventType::kBookmark) return;
          event.type == kube::WatchEventType::kDeleted ? Gone() : Look(event.object);
          if (exit_code_) over.request_stop();
        },
        over.get_token());
    // Too old is nothing to tell: the next look reads it anew.
    if (!end.ok() && end.code() != Code::kGone && !exit_code_) Lost(end);
  }

  void Gone() {
    RunEnd end;
    end.outcome = {kExitFailure, "Deleted", "the job was deleted", std::nullopt};
    reporter_.Ended(end);
    exit_code_ = kExitFailure;
  }

  void Lost(const Status& error) {
    if (!std::exchange(told_lost_, true)) {
      cluster_.err << TerminalText(KubectlError(error, cluster_.refusals.Find(error)))
                   << "; trying again\n";
    }
    Sleep(cluster_, std::max(kLookAgain, std::min(error.retry_after(), kLongestWait)));
  }

  const ObjectName name_;
  const std::string uid_;
  Reporter& reporter_;
  const Cluster& cluster_;
  JobFollower follower_;
  bool told_lost_ = false;
  std::optional<int> exit_code_;
};

// --- get -------------------------------------------------------------------------------------

Result<std::vector<json>> ListJobs(const Options& options, const Cluster& cluster) {
  std::vector<json> jobs;
  kube::ListOptions list{.ns = options.all_namespaces ? "" : cluster.ns,
                         .label_selector = options.selector,
                         .limit = kPageSize};
  do {
    auto page = WithRetries(cluster, [&] { return cluster.client.List(kube::kElephasJob, list); });
    if (!page.ok()) return page.status();
    std::move(page->items.begin(), page->items.end(), std::back_inserter(jobs));
    list.continue_token = page->continue_token;
  } while (!list.continue_token.empty());
  return jobs;
}

void PrintJobs(const Options& options, std::vector<json> jobs, const Cluster& cluster) {
  const bool one = options.names.size() == 1;
  for (json& job : jobs) {
    // As kubectl: they are for machines, and longer than all the rest.
    if (job.contains("metadata")) job["metadata"].erase("managedFields");
  }
  if (options.output == "name") {
    for (const json& job : jobs) {
      cluster.out << "elephasjob.elephas.dev/" << TerminalText(TextAt(job, "/metadata/name"))
                  << "\n";
    }
  } else if (options.output == "json" || options.output == "yaml") {
    const json object = one ? jobs.front()
                            : json{{"apiVersion", "v1"},
                                   {"kind", "List"},
                                   {"metadata", {{"resourceVersion", ""}}},
                                   {"items", std::move(jobs)}};
    cluster.out << (options.output == "json" ? TerminalJson(JsonText(object, 4)) + "\n"
                                             : YamlOf(object));
  } else {
    cluster.out << JobTable(jobs, {.wide = options.output == "wide",
                                   .namespaces = options.all_namespaces,
                                   .now_millis = cluster.clock.UnixMillis()});
  }
  cluster.out.flush();
}

// --- logs ------------------------------------------------------------------------------------

std::string LabelAt(const json& pod, std::string_view label) {
  const json::json_pointer where{"/metadata/labels"};
  if (!pod.contains(where)) return "";
  const json& labels = pod.at(where);
  const auto found = labels.find(label);
  return found != labels.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string PodSelector(const Options& options) {
  const auto is = [](std::string_view label, std::string_view value) {
    return std::string(label) + "=" + std::string(value);
  };
  std::string selector = is(names::kAppManagedBy, names::kManagedByValue) + "," +
                         is(names::kAppInstance, options.names.front());
  if (!options.role.empty()) selector += "," + is(names::kAppComponent, options.role);
  if (options.index) selector += "," + is(names::kIndex, std::to_string(*options.index));
  return selector;
}

// The job's pods, servers first, each index's newest last.
Result<std::vector<json>> PodsOf(const Options& options, const Cluster& cluster) {
  auto page = WithRetries(cluster, [&] {
    return cluster.client.List(kube::kPod,
                               {.ns = cluster.ns, .label_selector = PodSelector(options)});
  });
  if (!page.ok()) return page.status();
  const auto number = [](const std::string& text) {
    return std::pair(text.size(), text);  // "10" comes after "9"
  };
  std::stable_sort(page->items.begin(), page->items.end(), [&](const json& a, const json& b) {
    const auto rank = [&](const json& pod) {
      return std::tuple(LabelAt(pod, names::kAppComponent), number(LabelAt(pod, names::kIndex)),
                        number(LabelAt(pod, names::kAttempt)));
    };
    return rank(a) < rank(b);
  });
  return std::move(page->items);
}

// Several pods write to one stream, in whole lines.
class SharedOutput {
 public:
  explicit SharedOutput(std::ostream& out) : out_(out) {}
  // False when nobody reads any more.
  bool Write(std::string_view text) {
    const MutexLock lock(mutex_);
    out_ << text;
    out_.flush();
    return out_.good();
  }

 private:
  Mutex mutex_;
  std::ostream& out_ ELEPHAS_GUARDED_BY(mutex_);
};

// The log of one pod, as it is: what colours its lines or draws a bar looks as it does on a terminal
// of its own, as with kubectl. Lines have `prefix` in front. With --follow it waits for the
// container to start.
Status PrintLog(const Options& options, const json& pod, const std::string& prefix,
                const Cluster& cluster, SharedOutput& out) {
  const kube::PodLogOptions log{.container = LabelAt(pod, names::kAppComponent),
                                .follow = options.follow,
                                .previous = options.previous,
                                .timestamps = options.timestamps,
                                .tail_lines = options.tail};
  for (;;) {
    kube::LineSplitter lines(kMaxLogLine, [&](std::string_view line) -> Status {
      if (!out.Write(prefix + std::string(line) + "\n")) return Unavailable("closed");
      return OkStatus();
    });
    const Status read = cluster.client.ReadPodLog(
        kube::NameOf(pod), log,
        [&](std::string_view piece) {
          return prefix.empty() ? out.Write(piece) : lines.Add(piece).ok();
        },
        cluster.stop);
    if (!lines.rest().empty()) out.Write(prefix + lines.rest() + "\n");
    const bool waits = options.follow && read.code() == Code::kInvalid &&
                       read.message().find("waiting to start") != std::string::npos;
    if (!waits || cluster.stop.stop_requested()) return read;
    Sleep(cluster, kLookAgain);
  }
}

int NoPods(const Options& options, const Cluster& cluster) {
  const auto job = cluster.client.Get(kube::kElephasJob, {cluster.ns, options.names.front()});
  if (!job.ok()) return Complain(cluster, job.status());
  const std::string state = TextAt(*job, "/status/state");
  cluster.err << "elephas: " << options.names.front() << " ("
              << (state.empty() ? "new" : TerminalText(state)) << ") has no such pods"
              << (IsOver(*job) ? "; spec.runPolicy.cleanPodPolicy says which stay" : "") << "\n";
  return kExitFailure;
}

}  // namespace

int Submit(const Options& options, const ParsedManifest& manifest, json document,
           Reporter& reporter, const Cluster& cluster) {
  const auto ns = NamespaceOf(options, document, cluster);
  if (!ns.ok()) {
    cluster.err << "error: " << ns.status().message() << "\n";
    return kExitUsage;
  }
  document["metadata"]["namespace"] = *ns;
  // Without a name there is nothing to look for and nothing to apply to. A lost answer is not asked
  // for again: there might be two jobs then.
  const bool unnamed = manifest.spec.name.empty();
  ObjectName name{*ns, manifest.spec.name};
  const auto before =
      unnamed ? Result<json>(NotFound("it has no name yet"))
              : WithRetries(cluster, [&] { return cluster.client.Get(kube::kElephasJob, name); });
  if (!before.ok() && before.status().code() != Code::kNotFound) {
    return Complain(cluster, before.status());
  }
  const auto job = unnamed ? cluster.client.Create(kube::kElephasJob, document)
                           : ApplyJob(options, document, cluster);
  if (!job.ok()) {
    Complain(cluster, job.status());
    // The cluster's rules are part of what a manifest must keep.
    return job.status().code() == Code::kInvalid ? kExitUsage : kExitFailure;
  }
  name.name = TextAt(*job, "/metadata/name");
  const bool same = before.ok() && TextAt(*before, "/metadata/resourceVersion") ==
                                       TextAt(*job, "/metadata/resourceVersion");
  const char* what = !before.ok() ? "created" : same ? "unchanged" : "configured";
  if (!options.json && !options.quiet) {
    cluster.out << "elephasjob.elephas.dev/" << name.name << " " << what << "\n";
    cluster.out.flush();
  }
  if (same && IsOver(*job)) {
    cluster.err << "note: " << name.name << " is over already; elephas delete " << name.name
                << " lets it run again\n";
  }
  if (!options.follow) {
    if (options.json) {
      cluster.out << json{{"event", what},
                          {"job", name.name},
                          {"uid", TextAt(*job, "/metadata/uid")}}
                  << "\n";
    }
    return kExitSuccess;
  }
  reporter.Started(JobFollower::InfoOf(*job));
  return Follower(name, TextAt(*job, "/metadata/uid"), reporter, cluster).Run();
}

int GetJobs(const Options& options, const Cluster& cluster) {
  if (options.names.empty()) {
    auto jobs = ListJobs(options, cluster);
    if (!jobs.ok()) return Complain(cluster, jobs.status());
    const bool text = options.output.empty() || options.output == "wide";
    if (jobs->empty() && text) {
      cluster.err << "No resources found"
                  << (options.all_namespaces ? "" : " in " + cluster.ns + " namespace") << ".\n";
      return kExitSuccess;
    }
    PrintJobs(options, *std::move(jobs), cluster);
    return kExitSuccess;
  }
  std::vector<json> jobs;
  int exit_code = kExitSuccess;
  for (const std::string& name : options.names) {
    auto job = WithRetries(
        cluster, [&] { return cluster.client.Get(kube::kElephasJob, {cluster.ns, name}); });
    if (job.ok()) {
      jobs.push_back(*std::move(job));
    } else {
      exit_code = Complain(cluster, job.status());
    }
  }
  if (!jobs.empty()) PrintJobs(options, std::move(jobs), cluster);
  return exit_code;
}

int PrintLogs(const Options& options, const Cluster& cluster) {
  auto pods = PodsOf(options, cluster);
  while (pods.ok() && pods->empty() && options.follow && !cluster.stop.stop_requested()) {
    // They are still to come, unless there is no such job or it is over.
    const auto job = cluster.client.Get(kube::kElephasJob, {cluster.ns, options.names.front()});
    if (!job.ok() || IsOver(*job)) return NoPods(options, cluster);
    Sleep(cluster, kLookAgain);
    pods = PodsOf(options, cluster);
  }
  if (!pods.ok()) return Complain(cluster, pods.status());
  if (pods->empty()) return NoPods(options, cluster);

  SharedOutput out(cluster.out);
  std::vector<Status> ends(pods->size());
  const auto print = [&](std::size_t i) {
    const json& pod = (*pods)[i];
    const std::string prefix =
        pods->size() > 1 ? "[" + TextAt(pod, "/metadata/name") + "] " : std::string();
    ends[i] = PrintLog(options, pod, prefix, cluster, out);
  };
  if (options.follow) {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < pods->size(); ++i) readers.emplace_back(print, i);
  } else {
    for (std::size_t i = 0; i < pods->size(); ++i) print(i);
  }
  int exit_code = kExitSuccess;
  for (const Status& end : ends) {
    if (!end.ok() && !cluster.stop.stop_requested()) exit_code = Complain(cluster, end);
  }
  return exit_code;
}

int DeleteJob(const Options& options, const Cluster& cluster) {
  int exit_code = kExitSuccess;
  std::vector<std::pair<std::string, std::string>> going;  // name and uid
  for (const std::string& name : options.names) {
    const auto job = cluster.client.Get(kube::kElephasJob, {cluster.ns, name});
    // With --wait the pods go first, so that none is left when the command ends.
    const kube::DeleteOptions how{.propagation = options.wait ? kube::Propagation::kForeground
                                                              : kube::Propagation::kBackground};
    const Status gone = WithRetries(cluster, [&] {
      return job.ok() ? cluster.client.Delete(kube::kElephasJob, {cluster.ns, name}, how)
                      : job.status();
    });
    if (gone.code() == Code::kNotFound && options.ignore_not_found) continue;
    if (!gone.ok()) {
      exit_code = Complain(cluster, gone);
      continue;
    }
    cluster.out << "elephasjob.elephas.dev \"" << name << "\" deleted\n";
    cluster.out.flush();
    going.emplace_back(name, TextAt(*job, "/metadata/uid"));
  }
  if (!options.wait) return exit_code;
  for (const auto& [name, uid] : going) {
    while (!cluster.stop.stop_requested()) {
      const auto job = cluster.client.Get(kube::kElephasJob, {cluster.ns, name});
      if (job.status().code() == Code::kNotFound) break;
      if (job.ok() && TextAt(*job, "/metadata/uid") != uid) break;  // another one of that name
      if (!job.ok() && !job.status().retryable()) return Complain(cluster, job.status());
      Sleep(cluster, kLookAgain / 4);
    }
  }
  return exit_code;
}

}  // namespace elephas::cli
