// One job, from what the cluster holds to what the job wants. docs/design/operator.md is its story.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/result.h"
#include "kube/client.h"
#include "operator/plan/plan.h"
#include "operator/state/cluster_view.h"
#include "operator/state/job.h"
#include "operator/state/observed.h"
#include "operator/state/progress_source.h"
#include "operator/state/settings.h"
#include "operator/status/status.h"

namespace elephas {

// Thread-safe for different jobs; the work queue never hands out one job twice at once. All that it
// points to must outlive it.
class Reconciler {
 public:
  using RecordEvent = std::function<void(const Job&, const JobEvent&)>;
  struct Parts {
    kube::Client& client;
    const ClusterView& view;
    ProgressSource& progress;
    RecordEvent record;  // must not wait
    const Clock& clock;
    // A pod was asked for; may be empty.
    std::function<void(const Job&, const CreatePod&)> created = {};
  };
  Reconciler(Parts parts, Settings settings);

  // Brings the job one step further. The value: when to look again even if nothing happens. Errors
  // are to be tried again; what the API server refuses for good is in the job's status instead.
  Result<std::optional<std::chrono::milliseconds>> Reconcile(const kube::ObjectName& name);

  // Says in the job's status that the operator cannot cope with it, and why (InternalError). A job
  // that runs goes on and is told as stalled; another one fails. For a caller that has tried
  // Reconcile several times; does no more than it must, so that it works where that does not.
  Status GiveUp(const kube::ObjectName& name, const std::string& why);

 private:
  // What is remembered of a job between reconciles. All of it can be found out again: a new
  // operator starts without.
  struct Memory {
    std::string uid;
    std::string token;            // of the Secret; empty: not looked up yet
    std::size_t applied = 0;      // hash of Service and NetworkPolicy as they were applied
    std::int64_t applied_ms = 0;  // and when
    std::optional<Refusal> refusal;
    // Writes that the watch may not have told yet. Created by name; deleted by uid, because another
    // pod may have the name soon.
    std::map<std::string, Pod> created;
    std::map<std::string, std::int64_t> deleted;  // and when
    std::set<std::string> given_back;  // workers whose leases the server has been told of
    // The last status written, and the version of the job that it was derived from.
    nlohmann::json written;
    std::string derived_from;
  };

  Result<Plan> Run(const kube::ObjectName& name, nlohmann::json object, Memory& memory);
  Observed Observe(const Job& job, Memory& memory) const;
  // Carries out the plan. Refusals end up in `observed`; what turned out to be done already is
  // taken out of the plan.
  Status Act(const Job& job, Plan& plan, Observed& observed, Memory& memory);
  Status EnsureObjects(const Job& job, Memory& memory);
  Status EnsureSecret(const Job& job, Memory& memory);
  // kGone while there are pods of an earlier job of this name. A kubelet that has such a pod keeps
  // what it has read of the Secret of that name, and would give the old token and manifest to ours.
  Status AwaitEarlierPods(const Job& job) const;
  Status EnsureObject(const Job& job, const kube::Kind& kind, const nlohmann::json& object);
  // True: made now; false: it was there, and ours.
  Result<bool> Create(const Job& job, const CreatePod& pod, Memory& memory);
  Status Delete(const Job& job, const DeletePod& pod, Memory& memory);
  // Asks the kubelet to end what runs in the pod; where that is not allowed, deletes the pod.
  Status Stop(const Job& job, const StopPod& pod, Memory& memory);
  // What keeps the job from having an object of that name.
  Status NotOurs(const kube::Kind& kind, const nlohmann::json& there, const Job& job) const;
  void GiveBack(const Job& job, const Plan& plan, const Observed& observed, Memory& memory);
  Status WriteStatus(const Job& job, const std::string& version, const Observed& observed,
                     const Plan& plan, Memory& memory);
  // Writes a status that says InternalError in words of our own only, because the API server may
  // have called the other one invalid.
  Status WriteInternalError(const Job& job, const std::string& why);
  Status ApplyStatus(const Job& job, const nlohmann::json& status);
  void FollowProgress(const Job& job, const Observed& observed, const Plan& plan,
                      const Memory& memory);
  void Forget(const kube::ObjectName& name);

  const Parts parts_;
  const Settings settings_;
  Mutex mutex_;
  // The mutex is for the map; each value belongs to the thread that reconciles its job.
  std::map<kube::ObjectName, Memory> memories_ ELEPHAS_GUARDED_BY(mutex_);
};

}  // namespace elephas
