#include "operator/controller.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/base/names.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "kube/guard.h"
#include "kube/object_text.h"

namespace elephas {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kSyncLook{1'000};
// Of a job's text in the cache; nearly all jobs have a tenth of it.
constexpr std::size_t kMaxCachedBytes = std::size_t{64} << 10;
// Until a large job that another thread is busy with is finished.
constexpr milliseconds kLargeJobPause{50};
// So many internal errors in a row are no accident.
constexpr int kGiveUpAfter = 3;

bool Ended(const Pod* pod) {
  return pod == nullptr || pod->deleting || pod->phase == PodPhase::kFailed;
}

}  // namespace

Controller::Controller(Parts parts, Options options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      queue_(parts_.clock, {}, parts_.metrics),
      progress_(
          options_.progress, SendToServer, [this](const kube::ObjectName& job) { queue_.Add(job); },
          parts_.metrics),
      reconciler_({.client = parts_.client,
                   .view = *this,
                   .progress = progress_,
                   .record = parts_.record,
                   .clock = parts_.clock,
                   .created =
                       [this](const Job& job, const CreatePod& pod) {
                         if (!pod.replaces.empty()) CountReplacement({job.ns, job.name});
                       }},
                  options_.settings) {
  if (options_.namespaces.empty()) watches_.push_back(MakeWatches(""));
  for (const std::string& ns : options_.namespaces) watches_.push_back(MakeWatches(ns));
}

Controller::~Controller() { Stop(); }

Controller::Watches Controller::MakeWatches(const std::string& ns) {
  Watches watches;
  watches.ns = ns;
  kube::Informer<CachedJob>::Hooks jobs;
  jobs.decode = DecodeJob;
  jobs.changed = [this](const kube::ObjectName& name, const auto&, const auto&) {
    queue_.Add(name);
  };
  watches.jobs = std::make_unique<kube::Informer<CachedJob>>(parts_.client, kube::kElephasJob,
                                                             kube::Reflector::Options{.ns = ns},
                                                             std::move(jobs), parts_.metrics);
  kube::Informer<Pod>::Hooks pods;
  pods.decode = [](const json& object) -> Result<Pod> {
    if (auto pod = DecodePod(object)) return *std::move(pod);
    return Invalid(
        "it has a job's label, but no job controls it, or its name is no pod's of a job");
  };
  pods.changed = [this](const kube::ObjectName& name, const auto& old, const auto& now) {
    PodChanged(name, old.get(), now.get());
  };
  pods.index = [](const kube::ObjectName&, const Pod& pod) { return pod.owner_uid; };
  watches.pods = std::make_unique<kube::Informer<Pod>>(
      parts_.client, kube::kPod,
      kube::Reflector::Options{.ns = ns, .label_selector = std::string(names::kManagedSelector)},
      std::move(pods), parts_.metrics);
  return watches;
}

Result<Controller::CachedJob> Controller::DecodeJob(const json& object) {
  // Annotations are none of the manifest's; kubectl keeps a copy of all of it there.
  json kept = json::object();
  for (const auto& [name, value] : object.items()) {
    if (name != "metadata") kept[name] = value;
  }
  for (const auto& [name, value] : MemberOf(object, "metadata").items()) {
    if (name != "managedFields" && name != "annotations") kept["metadata"][name] = value;
  }
  CachedJob job{JsonText(kept), TextAt(object, "/status/state"),
                TextAt(object, "/metadata/resourceVersion")};
  if (job.state.empty()) job.state = "Pending";
  if (job.text.size() > kMaxCachedBytes) {
    job.text.clear();
    job.text.shrink_to_fit();
  }
  return job;
}

void Controller::PodChanged(const kube::ObjectName& name, const Pod* old, const Pod* now) {
  const Pod* pod = now != nullptr ? now : old;
  if (pod == nullptr) return;
  const kube::ObjectName job{name.ns, pod->job};
  if (old != nullptr && !Ended(old) && Ended(now)) {
    const MutexLock lock(deaths_mutex_);
    deaths_.emplace(job, std::chrono::steady_clock::now());
  }
  queue_.Add(job);
}

void Controller::CountReplacement(const kube::ObjectName& job) {
  const MutexLock lock(deaths_mutex_);
  const auto found = deaths_.find(job);
  if (found == deaths_.end()) return;
  parts_.metrics.Replaced(std::chrono::steady_clock::now() - found->second);
  deaths_.erase(found);
}

void Controller::Start() {
  for (Watches& watches : watches_) {
    watches.jobs->Start();
    watches.pods->Start();
  }
  for (int i = 0; i < options_.concurrency; ++i) workers_.emplace_back([this] { Work(); });
}

void Controller::Stop() {
  if (stopping_.exchange(true)) return;
  queue_.ShutDown();
  for (std::thread& worker : workers_) worker.join();
  for (Watches& watches : watches_) {
    watches.jobs->Stop();
    watches.pods->Stop();
  }
}

bool Controller::Synced() const {
  return std::all_of(watches_.begin(), watches_.end(), [](const Watches& watches) {
    return watches.jobs->synced() && watches.pods->synced();
  });
}

std::map<std::string, std::int64_t> Controller::JobsByState() const {
  std::map<std::string, std::int64_t> states;
  for (const Watches& watches : watches_) {
    for (const auto& [name, job] : watches.jobs->All()) ++states[job->state];
  }
  return states;
}

const Controller::Watches* Controller::WatchesOf(const std::string& ns) const {
  const auto found = std::find_if(watches_.begin(), watches_.end(), [&](const Watches& watches) {
    return watches.ns.empty() || watches.ns == ns;
  });
  return found == watches_.end() ? nullptr : &*found;
}

Result<json> Controller::FindJob(const kube::ObjectName& name) const {
  const Watches* watches = WatchesOf(name.ns);
  const auto job = watches == nullptr ? nullptr : watches->jobs->Get(name);
  if (job == nullptr) return NotFound("there is no such job");
  if (job->text.empty()) return parts_.client.Get(kube::kElephasJob, name);
  return json::parse(job->text, nullptr, /*allow_exceptions=*/false);
}

bool Controller::IsLarge(const kube::ObjectName& name) const {
  const Watches* watches = WatchesOf(name.ns);
  const auto job = watches == nullptr ? nullptr : watches->jobs->Get(name);
  return job != nullptr && job->text.empty();
}

std::vector<Pod> Controller::PodsOf(const std::string& ns, const std::string& job_uid) const {
  std::vector<Pod> pods;
  const Watches* watches = WatchesOf(ns);
  if (watches == nullptr) return pods;
  for (const auto& [name, pod] : watches->pods->ByIndex(job_uid)) {
    if (name.ns == ns) pods.push_back(*pod);
  }
  return pods;
}

void Controller::Work() {
  // Without the pods every job would look as if it had none.
  for (Watches& watches : watches_) {
    while (!stopping_ &&
           !(watches.jobs->WaitForSync(kSyncLook) && watches.pods->WaitForSync(kSyncLook))) {
    }
  }
  while (const auto job = queue_.Get()) {
    (void)kube::Guarded(parts_.metrics, "reconcile", ToString(*job), [&] { HandleOne(*job); });
    queue_.Done(*job);
  }
}

void Controller::HandleOne(const kube::ObjectName& job) {
  if (!IsLarge(job)) return ReconcileGuarded(job);
  // One at a time, so that memory has a bound; the other threads go on with jobs that are not.
  if (!large_mutex_.try_lock()) return queue_.AddAfter(job, kLargeJobPause);
  const MutexLock lock(large_mutex_, std::adopt_lock);
  ReconcileGuarded(job);
}

void Controller::ReconcileGuarded(const kube::ObjectName& job) {
  // The work itself is guarded; this is for what is around it.
  const Status handled =
      kube::Guarded(parts_.metrics, "reconcile", ToString(job), [&] { Reconcile(job); });
  if (!handled.ok()) queue_.AddFailed(job);
}

int Controller::CountInternalErrors(const kube::ObjectName& job, bool one_more) {
  const MutexLock lock(errors_mutex_);
  if (one_more) return ++internal_errors_[job];
  internal_errors_.erase(job);
  return 0;
}

void Controller::Reconcile(const kube::ObjectName& job) {
  const Time began = std::chrono::steady_clock::now();
  const auto wake = kube::Guarded(parts_.metrics, "reconcile", ToString(job),
                                  [&] { return reconciler_.Reconcile(job); });
  const auto took = std::chrono::steady_clock::now() - began;
  const int internal = CountInternalErrors(job, wake.status().code() == Code::kInternal);
  if (wake.ok()) {
    parts_.metrics.Reconciled("success", took);
    queue_.Forget(job);
    if (*wake) queue_.AddAfter(job, **wake);
    return;
  }
  const Status& status = wake.status();
  const bool passes = status.retryable() || status.code() == Code::kConflict;
  parts_.metrics.Reconciled(passes ? "retry" : "error", took);
  LogWarning("reconcile failed", {{"namespace", job.ns},
                                  {"job", job.name},
                                  {"reason", CodeName(status.code())},
                                  {"message", status.message()}});
  // First, so that it is tried again whatever follows.
  queue_.AddFailed(job, status.retry_after());
  if (internal < kGiveUpAfter) return;
  const Status told = reconciler_.GiveUp(
      job, "the operator could not work on this job " + std::to_string(kGiveUpAfter) +
               " times in a row: " + status.message() +
               "; this is a defect of the operator's, its log says more; correct what the message "
               "names, or delete the job");
  if (told.ok()) return;
  LogWarning("giving a job up failed",
             {{"namespace", job.ns}, {"job", job.name}, {"message", told.message()}});
}

}  // namespace elephas
