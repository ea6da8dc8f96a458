#include "operator/kube/leader_election.h"

#include <condition_variable>

#include "common/log.h"
#include "operator/kube/timestamp.h"

namespace elephas::kube {

namespace {

using nlohmann::json;

std::string HolderOf(const json& spec) {
  const auto found = spec.is_object() ? spec.find("holderIdentity") : spec.end();
  return found != spec.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t IntegerOf(const json& spec, const char* field, std::int64_t otherwise) {
  const auto found = spec.is_object() ? spec.find(field) : spec.end();
  return found != spec.end() && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
}

void Wait(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

LeaderElector::LeaderElector(Client& client, const Clock& clock, Options options,
                             ClientObserver& observer)
    : client_(client), clock_(clock), options_(std::move(options)), observer_(observer) {}

bool LeaderElector::leading() const {
  const std::lock_guard lock(mutex_);
  return held_ && clock_.Now() - renewed_at_ < options_.renew_deadline;
}

std::string LeaderElector::holder() const {
  const std::lock_guard lock(mutex_);
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
    const std::string holder = HolderOf((*lease)["spec"]);
    const auto duration = std::chrono::seconds(IntegerOf((*lease)["spec"], "leaseDurationSeconds",
                                                         options_.lease_duration.count() / 1'000));
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
    const std::lock_guard lock(mutex_);
    renewed_at_ = asked_at;
    held_ = true;
  }
  SetLeading(true);
  return OkStatus();
}

json LeaderElector::Desired(const json& lease, bool acquire) const {
  json desired = lease.is_object() ? lease : json::object();
  desired["metadata"]["namespace"] = options_.ns;
  desired["metadata"]["name"] = options_.name;
  const std::string now = MicroTimeText(clock_.UnixMillis());
  json& spec = desired["spec"];
  if (acquire) {
    // Counts changes of hands; making the Lease is none.
    spec["leaseTransitions"] =
        lease.is_object() ? IntegerOf(spec, "leaseTransitions", 0) + 1 : std::int64_t{0};
    spec["acquireTime"] = now;
  }
  spec["holderIdentity"] = options_.identity;
  spec["leaseDurationSeconds"] =
      std::chrono::ceil<std::chrono::seconds>(options_.lease_duration).count();
  spec["renewTime"] = now;
  return desired;
}

void LeaderElector::Remember(const json& lease) {
  const auto spec = lease.find("spec");
  json seen = spec != lease.end() ? *spec : json();
  if (seen != observed_) {
    observed_ = std::move(seen);
    observed_at_ = clock_.Now();
  }
  const std::lock_guard lock(mutex_);
  holder_ = HolderOf(observed_);
}

void LeaderElector::SetLeading(bool leading) {
  if (!leading) {
    const std::lock_guard lock(mutex_);
    held_ = false;
  }
  if (told_ == leading) return;
  told_ = leading;
  observer_.Leading(leading);
}

Status LeaderElector::Release() {
  {
    const std::lock_guard lock(mutex_);
    if (!held_) return OkStatus();
  }
  // Nobody leads from here on, whether or not the server hears of it.
  SetLeading(false);
  json free = lease_;
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
    const Status step = Step();
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
    Wait(options_.retry_period, stop);
  }
  if (has_led) {
    stopping();
    if (const Status released = Release(); !released.ok()) {
      LogWarning("lease could not be released", {{"error", released.message()}});
    }
  }
  return true;
}

}  // namespace elephas::kube
