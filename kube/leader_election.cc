#include "kube/leader_election.h"

#include <algorithm>

#include "common/base/log.h"
#include "common/base/timestamp.h"
#include "common/json/json_at.h"
#include "kube/guard.h"

namespace elephas::kube {

namespace {

using nlohmann::json;

// What of a Lease's own duration counts: a day, whatever somebody wrote there.
constexpr std::int64_t kLongestLeaseSeconds = 86'400;

std::string HolderOf(const json& spec) { return TextOf(spec, "holderIdentity"); }

}  // namespace

LeaderElector::LeaderElector(Client& client, const Clock& clock, Options options,
                             ClientObserver& observer)
    : client_(client), clock_(clock), options_(std::move(options)), observer_(observer) {}

bool LeaderElector::leading() const {
  const MutexLock lock(mutex_);
  return held_ && clock_.Now() - renewed_at_ < options_.renew_deadline;
}

std::string LeaderElector::holder() const {
  const MutexLock lock(mutex_);
  return holder_;
}

Status LeaderElector::Step() {
  const CallOptions call{.timeout = options_.retry_period + options_.retry_period / 2};
  // What we hold counts from before the request: the server may have written it at any time since.
  const auto asked_at = clock_.Now();
  auto lease = client_.Get(kLease, {options_.ns, options_.name}, call);
  if (!lease.ok() && lease.status().code() != Code::kNotFound) return lease.status();

  Result<json> written = json();
  if (!lease.ok()) {
    written = client_.Create(kLease, Desired(nullptr, true), call);
    if (written.status().code() == Code::kExists) {
      return Conflict("another replica made the Lease first");
    }
  } else {
    Remember(*lease);
    const std::string holder = HolderOf(MemberOf(*lease, "spec"));
    const auto duration = std::chrono::seconds(std::clamp<std::int64_t>(
        IntegerAt(*lease, "/spec/leaseDurationSeconds", options_.lease_duration.count() / 1'000), 0,
        kLongestLeaseSeconds));
    if (!holder.empty() && holder != options_.identity && asked_at - observed_at_ < duration) {
      SetLeading(false);
      return Conflict(holder + " leads");
    }
    // With its resourceVersion, so that of two replicas that try now one gets kConflict.
    written = client_.Update(kLease, Desired(*lease, holder != options_.identity), call);
  }
  if (!written.ok()) return written.status();
  Remember(*written);
  lease_ = *std::move(written);
  {
    const MutexLock lock(mutex_);
    renewed_at_ = asked_at;
    held_ = true;
  }
  SetLeading(true);
  return OkStatus();
}

json LeaderElector::Desired(const json& lease, bool acquire) const {
  json desired = lease.is_object() ? lease : json::object();
  for (const char* part : {"metadata", "spec"}) {
    if (!MemberOf(desired, part).is_object()) desired[part] = json::object();
  }
  desired["metadata"]["namespace"] = options_.ns;
  desired["metadata"]["name"] = options_.name;
  const std::string now = MicroTimeText(clock_.UnixMillis());
  json& spec = desired["spec"];
  if (acquire) {
    // Counts changes of hands; making the Lease is none.
    spec["leaseTransitions"] =
        lease.is_object() ? IntegerAt(spec, "/leaseTransitions") + 1 : std::int64_t{0};
    spec["acquireTime"] = now;
  }
  spec["holderIdentity"] = options_.identity;
  spec["leaseDurationSeconds"] =
      std::chrono::ceil<std::chrono::seconds>(options_.lease_duration).count();
  spec["renewTime"] = now;
  return desired;
}

void LeaderElector::Remember(const json& lease) {
  json seen = MemberOf(lease, "spec");
  if (seen != observed_) {
    observed_ = std::move(seen);
    observed_at_ = clock_.Now();
  }
  const MutexLock lock(mutex_);
  holder_ = HolderOf(observed_);
}

void LeaderElector::SetLeading(bool leading) {
  if (!leading) {
    const MutexLock lock(mutex_);
    held_ = false;
  }
  if (told_ == leading) return;
  told_ = leading;
  observer_.Leading(leading);
}

Status LeaderElector::Release() {
  {
    const MutexLock lock(mutex_);
    if (!held_) return OkStatus();
  }
  // Nobody leads from here on, whether or not the server hears of it.
  SetLeading(false);
  json free = Desired(lease_, false);
  json& spec = free["spec"];
  spec["holderIdentity"] = "";
  spec["leaseDurationSeconds"] = 1;
  spec["renewTime"] = MicroTimeText(clock_.UnixMillis());
  auto written = client_.Update(kLease, free, {.timeout = options_.retry_period});
  if (written.ok()) Remember(*written);
  return written.status();
}

bool LeaderElector::Run(const std::stop_token& stop, const std::function<void()>& started,
                        const std::function<void()>& stopping) {
  bool has_led = false;
  std::string told_holder;
  while (!stop.stop_requested()) {
    const Status step = Guarded(observer_, "lease", options_.name, [this] { return Step(); });
    if (step.ok() && !has_led) {
      has_led = true;
      LogInfo("leading",
              {{"lease", options_.ns + "/" + options_.name}, {"identity", options_.identity}});
      started();
    } else if (!step.ok() && step.code() != Code::kConflict) {
      LogWarning("lease could not be renewed", {{"error", step.message()}});
    }
    if (!has_led && holder() != told_holder) {
      told_holder = holder();
      LogInfo("waiting to lead", {{"holder", told_holder}});
    }
    if (has_led && !leading()) {
      LogError("leadership is lost", {{"holder", holder()}});
      SetLeading(false);
      return false;
    }
    (void)SleepUnlessStopped(options_.retry_period, stop);
  }
  if (has_led) {
    stopping();
    const Status released =
        Guarded(observer_, "lease", options_.name, [this] { return Release(); });
    if (!released.ok()) {
      LogWarning("lease could not be released", {{"error", released.message()}});
    }
  }
  return true;
}

}  // namespace elephas::kube
