#include "operator/conditions.h"

#include "operator/job.h"
#include "operator/kube/timestamp.h"

namespace elephas {

namespace {

// The API's own bound of metav1.Condition.
constexpr std::size_t kMaxMessage = 32768;

}  // namespace

Conditions::Conditions(const nlohmann::json& before, std::int64_t generation, std::int64_t now_ms)
    : before_(before), generation_(generation), now_ms_(now_ms) {}

void Conditions::Set(std::string_view type, std::string_view status, std::string_view reason,
                     std::string_view message) {
  const nlohmann::json* old = FindCondition(before_, type);
  const bool same = old != nullptr && old->value("status", "") == status;
  list_.push_back(
      {{"type", type},
       {"status", status},
       {"observedGeneration", generation_},
       {"lastTransitionTime",
        same ? old->value("lastTransitionTime", kube::TimeText(now_ms_)) : kube::TimeText(now_ms_)},
       {"reason", reason},
       {"message", message.substr(0, kMaxMessage)}});
}

}  // namespace elephas
