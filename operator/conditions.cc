#include "operator/conditions.h"

#include <algorithm>

#include "common/names.h"
#include "common/utf8.h"
#include "operator/job.h"
#include "operator/json_at.h"
#include "operator/kube/timestamp.h"

namespace elephas {

namespace {

// The API's own bounds of metav1.Condition. Its lengths count characters; bytes are never fewer.
constexpr std::size_t kMaxMessage = 32768;
constexpr std::size_t kMaxReason = 1024;

}  // namespace

bool IsReason(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  const auto inside = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == ',' || c == ':';
  };
  return !text.empty() && text.size() <= kMaxReason && letter(text.front()) &&
         std::all_of(text.begin(), text.end(), inside) && text.back() != ',' && text.back() != ':';
}

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
