#include "operator/status/conditions.h"

#include <algorithm>

#include "common/base/names.h"
#include "common/base/timestamp.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "operator/state/job.h"

namespace elephas {

namespace {

// The API's own bounds of metav1.Condition. Its lengths count characters; bytes are never fewer.
constexpr std::size_t kMaxMessage = 32768;

}  // namespace

Conditions::Conditions(const nlohmann::json& before, std::int64_t generation, std::int64_t now_ms)
    : before_(before), generation_(generation), now_ms_(now_ms) {}

void Conditions::Set(std::string_view type, std::string_view status, std::string_view reason,
                     std::string_view message) {
  const nlohmann::json* old = FindCondition(before_, type);
  std::string since = kube::TimeText(now_ms_);
  if (old != nullptr && Says(*old, "status", status) &&
      kube::ParseTime(TextOf(*old, "lastTransitionTime"))) {
    since = TextOf(*old, "lastTransitionTime");
  }
  // One that is none would have the API server refuse the whole status, for ever.
  const bool fits = IsReason(reason);
  std::string text = ValidUtf8(message);
  if (!fits) text = std::string("reason '").append(ValidUtf8(reason)).append("': ").append(text);
  list_.push_back({{"type", type},
                   {"status", status},
                   {"observedGeneration", generation_},
                   {"lastTransitionTime", std::move(since)},
                   {"reason", fits ? reason : names::kUnnamed},
                   {"message", Shortened(text, kMaxMessage)}});
}

}  // namespace elephas
