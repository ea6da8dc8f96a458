#include "operator/rules/refusal_policy.h"

#include <algorithm>
#include <string_view>

namespace elephas {

namespace {

// Nothing tells when a quota was raised or an admission policy changed.
constexpr std::int64_t kFirstRetryMs = 10'000, kLongestRetryMs = 60'000;
// What goes away takes a pod's grace at most, as a rule, and mostly tells when it has gone.
constexpr std::int64_t kShortestWaitMs = 1'000, kLongestWaitMs = 10'000;

// The API server's words when it cannot even read an object (a field that it does not know, a text
// where a number belongs). It reads before it asks admission, so nothing but the object counts.
constexpr std::string_view kUnreadable = "cannot be handled as a";

bool IsGoing(const Refusal& refusal) { return refusal.status.code() == Code::kGone; }

}  // namespace

bool IsForGood(const Refusal& refusal) {
  if (refusal.status.code() == Code::kExists) return true;
  return refusal.status.code() == Code::kInvalid &&
         refusal.status.message().find(kUnreadable) != std::string::npos;
}

std::int64_t RetryAtMs(const Refusal& refusal) {
  const std::int64_t since = refusal.since_ms == 0 ? refusal.at_ms : refusal.since_ms;
  const std::int64_t lasted = refusal.at_ms - since;
  return refusal.at_ms + (IsGoing(refusal) ? std::clamp(lasted, kShortestWaitMs, kLongestWaitMs)
                                           : std::clamp(lasted, kFirstRetryMs, kLongestRetryMs));
}

bool WaitsForItsTime(const Refusal& refusal) { return !IsGoing(refusal); }

}  // namespace elephas
